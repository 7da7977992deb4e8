-- Accounts of ESMEs, their binds, and what goes to and comes from them.

-- name: add
-- No row comes back where the system_id is taken.
INSERT INTO esme (system_id, password, shop, link, allowed, binds, "window", rate, category, is_latin1, has_replies, outbind)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (system_id) WHERE revoked IS NULL DO NOTHING
RETURNING id

-- name: find
SELECT e.*, s.code FROM esme e LEFT JOIN shop s ON s.id = e.shop
WHERE e.system_id = $1 AND e.revoked IS NULL
FOR NO KEY UPDATE OF e

-- name: list
SELECT e.*, s.code FROM esme e LEFT JOIN shop s ON s.id = e.shop ORDER BY e.system_id, e.id

-- name: valid
-- Accounts that may bind.
SELECT e.*, s.code FROM esme e LEFT JOIN shop s ON s.id = e.shop WHERE e.revoked IS NULL

-- name: set
UPDATE esme SET allowed = $2, binds = $3, "window" = $4, rate = $5, category = $6, is_latin1 = $7, has_replies = $8,
       outbind = $9
WHERE id = $1

-- name: set_password
UPDATE esme SET password = $2 WHERE id = $1

-- name: revoke
UPDATE esme SET revoked = now() WHERE id = $1

-- name: forget_outbox
DELETE FROM esme_outbox WHERE esme = $1

-- name: announce
SELECT pg_notify('gateway_esme', '')

-- name: standing
-- Binds that stand, as `gateway esme show` tells them, and how much waits.
SELECT b.index, n.name AS node, b.kind, b.address, b.since
FROM esme_bind b JOIN node n ON n.id = b.node AND n.epoch = b.epoch AND n.until > now()
WHERE b.esme = $1 ORDER BY b.index

-- name: outbox_size
SELECT count(*) FROM esme_outbox WHERE esme = $1

-- name: lock
-- One bind of an account at a time is counted; parts of its long texts, too, are put together one after the other.
SELECT pg_advisory_xact_lock(5, n) FROM unnest($1::int4[]) n ORDER BY n

-- name: unsynced
-- What dies with the process need not be on disk.
SELECT set_config('synchronous_commit', 'off', true)

-- name: drop_dead_binds
-- Rows of processes that live no more.
DELETE FROM esme_bind b WHERE b.esme = $1
  AND NOT EXISTS (SELECT FROM node n WHERE n.id = b.node AND n.epoch = b.epoch AND n.until > now())

-- name: take_bind
-- The lowest free index below the account's limit; no row when all are taken.
INSERT INTO esme_bind (esme, index, node, epoch, kind, address)
SELECT $1, n, $2, $3, $4, $5
FROM generate_series(0, (SELECT binds - 1 FROM esme WHERE id = $1 AND revoked IS NULL)) n
WHERE NOT EXISTS (SELECT FROM esme_bind b WHERE b.esme = $1 AND b.index = n)
ORDER BY n LIMIT 1
RETURNING index

-- name: give_bind
DELETE FROM esme_bind WHERE esme = $1 AND index = $2 AND node = $3 AND epoch = $4

-- name: leave_binds
DELETE FROM esme_bind WHERE node = $1 AND epoch = $2

-- name: held_binds
SELECT esme, index FROM esme_bind WHERE node = $1 AND epoch = $2

-- name: forget_binds
-- Binds of this process that it knows nothing of: the answer to the commit that made them was lost.
DELETE FROM esme_bind b WHERE b.node = $1 AND b.epoch = $2
  AND NOT EXISTS (SELECT FROM unnest($3::int4[], $4::int2[]) held(esme, index) WHERE held.esme = b.esme AND held.index = b.index)

-- name: shares
-- How many of these accounts' binds this node has, and all nodes together: those that submit, and those that receive.
SELECT b.esme, count(*) FILTER (WHERE b.kind IN (2, 9)) AS senders, count(*) FILTER (WHERE b.kind IN (1, 9)) AS receivers,
       count(*) FILTER (WHERE b.kind IN (2, 9) AND b.node = $1 AND b.epoch = $2) AS my_senders,
       count(*) FILTER (WHERE b.kind IN (1, 9) AND b.node = $1 AND b.epoch = $2) AS my_receivers
FROM esme_bind b JOIN node n ON n.id = b.node AND n.epoch = b.epoch AND n.until > now()
WHERE b.esme = ANY ($3::int4[]) GROUP BY b.esme

-- name: unbound
-- Of these accounts, those without a bind on any node.
SELECT u.esme FROM unnest($1::int4[]) u(esme)
WHERE NOT EXISTS (SELECT FROM esme_bind b JOIN node n ON n.id = b.node AND n.epoch = b.epoch AND n.until > now()
                  WHERE b.esme = u.esme)

-- name: want_receipts
-- Written before the messages, without waiting for the disk: the log is written in order, so that the commit of the messages
-- makes this durable too.
INSERT INTO esme_text (id, esme, told, wanted, until_ms, source, source_ton, source_npi, dest, dest_ton, dest_npi)
SELECT u.id, u.esme, u.told, u.wanted, u.until_ms, u.source, u.source_ton, u.source_npi, u.dest, u.dest_ton, u.dest_npi
FROM (SELECT set_config('synchronous_commit', 'off', true)) unsynced, unnest($1::esme_text[]) u
ON CONFLICT DO NOTHING

-- name: want_none
-- Of messages that were refused after all.
DELETE FROM esme_text WHERE id = ANY ($1::int8[])

-- name: outbox
-- What waits for accounts behind the place that each was read up to; a row without an id where nothing does. Of several nodes
-- only the one whose receiving bind stands longest delivers, and gets rows: two would deliver the same.
SELECT o.*, u.esme, r.number, r.phone, r.body
FROM unnest($3::int4[], $4::int8[]) u(esme, after),
     LATERAL (SELECT min(b.since) AS since FROM esme_bind b
              WHERE b.esme = u.esme AND b.kind IN (1, 9)
                AND EXISTS (SELECT FROM node n WHERE n.id = b.node AND n.epoch = b.epoch AND n.until > now())) first,
     LATERAL (SELECT b.node, b.epoch FROM esme_bind b
              WHERE b.esme = u.esme AND b.kind IN (1, 9) AND b.since = first.since
                AND EXISTS (SELECT FROM node n WHERE n.id = b.node AND n.epoch = b.epoch AND n.until > now())
              ORDER BY b.esme, b.index LIMIT 1) b
     LEFT JOIN LATERAL (SELECT o.id, o.kind, o.subject, o.at_ms, o.wanted, o.error, o.source, o.source_ton, o.source_npi,
                               o.dest, o.dest_ton, o.dest_npi
                        FROM esme_outbox o WHERE o.esme = u.esme AND o.id > u.after
                        ORDER BY o.esme, o.id LIMIT $5) o ON true
     LEFT JOIN LATERAL (SELECT r.number, r.phone, r.body FROM reply r WHERE r.id = o.subject AND o.kind = 0 LIMIT 1) r ON true
WHERE b.node = $1 AND b.epoch = $2

-- name: acknowledged
DELETE FROM esme_outbox WHERE ctid = ANY (ARRAY(
  SELECT o.ctid FROM unnest($1::int4[], $2::int8[]) u(esme, id),
         LATERAL (SELECT o.ctid FROM esme_outbox o WHERE o.esme = u.esme AND o.id = u.id LIMIT 1) o))

-- name: drop_oldest
-- What goes beyond the $2 newest of an account, and what is older than $3, an id.
DELETE FROM esme_outbox WHERE esme = $1 AND id < greatest($3::int8,
  coalesce((SELECT o.id FROM esme_outbox o WHERE o.esme = $1 ORDER BY o.esme DESC, o.id DESC OFFSET $2 LIMIT 1) + 1, 0))

-- name: outbox_accounts
SELECT e.id FROM esme e WHERE EXISTS (SELECT FROM esme_outbox o WHERE o.esme = e.id)

-- name: give_up_texts
-- Messages of which nothing was heard for too long: the last word is that nobody knows.
WITH gone AS (
  DELETE FROM esme_text WHERE id IN (SELECT id FROM esme_text WHERE until_ms < $1 LIMIT 1000) RETURNING *
)
INSERT INTO esme_outbox (esme, id, kind, subject, at_ms, wanted, source, source_ton, source_npi, dest, dest_ton, dest_npi)
SELECT esme, id, 15, told, $1, wanted, source, source_ton, source_npi, dest, dest_ton, dest_npi FROM gone
WHERE EXISTS (SELECT FROM message m WHERE m.id = gone.id)
ON CONFLICT DO NOTHING

-- name: parts
-- The parts there are of these texts.
SELECT u.n, p.text, p.part, p.payload, p.coding, p.wanted, p.done_epoch IS NOT NULL AS is_done,
       NOT EXISTS (SELECT FROM node WHERE node.id = p.done_node AND node.epoch = p.done_epoch AND node.until > now()) AS is_orphan
FROM unnest($1::int4[], $2::text[], $3::text[], $4::int4[], $5::int2[]) WITH ORDINALITY u(esme, source, dest, reference, total, n),
     LATERAL (SELECT * FROM esme_part p WHERE p.esme = u.esme AND p.source = u.source AND p.dest = u.dest
                AND p.reference = u.reference AND p.total = u.total
              ORDER BY p.esme, p.source, p.dest, p.reference, p.total, p.part LIMIT 255) p

-- name: add_parts
INSERT INTO esme_part (esme, source, dest, reference, total, part, text, payload, coding, wanted, addresses, at_ms)
SELECT u.esme, u.source, u.dest, u.reference, u.total, u.part, u.text, u.payload, u.coding, u.wanted, u.addresses, u.at_ms
FROM unnest($1::esme_part[]) u

-- name: finish_parts
-- These texts are accepted. Their parts stay a while: whoever was not answered submits them again.
UPDATE esme_part SET done_node = $2, done_epoch = $3 WHERE text = ANY ($1::int8[])

-- name: adopt_parts
-- Parts that were submitted again: from now on this process has answered them.
UPDATE esme_part SET done_node = $3, done_epoch = $4
WHERE ctid = ANY (ARRAY(SELECT p.ctid FROM unnest($1::int8[], $2::int2[]) u(text, part),
                               LATERAL (SELECT p.ctid FROM esme_part p WHERE p.text = u.text AND p.part = u.part LIMIT 1) p))

-- name: forget_parts
DELETE FROM esme_part WHERE text = ANY ($1::int8[])

-- name: forget_finished
-- Parts of accepted texts that came before $1.
DELETE FROM esme_part WHERE at_ms < $1 AND done_epoch IS NOT NULL

-- name: count_parts
SELECT count(*) FROM esme_part WHERE done_epoch IS NULL

-- name: is_message
SELECT EXISTS (SELECT FROM message WHERE id = $1)

-- name: stale_texts
-- Long texts that nothing came for since $1: their parts were acknowledged, so the ESME is told. Those that became messages
-- are only forgotten.
SELECT p.text, min(p.esme) AS esme, min(p.total) AS total, array_agg(p.part) AS parts, array_agg(p.wanted) AS wanted, min(p.source) AS source,
       min(p.dest) AS dest, min(p.addresses) AS addresses,
       EXISTS (SELECT FROM message m WHERE m.id = p.text) AS is_message
FROM esme_part p
WHERE p.text IN (SELECT text FROM esme_part WHERE at_ms < $1 AND done_epoch IS NULL ORDER BY at_ms LIMIT 500)
GROUP BY p.text HAVING max(p.at_ms) < $1

-- name: tell
INSERT INTO esme_outbox (esme, id, kind, subject, at_ms, wanted, error, source, source_ton, source_npi, dest, dest_ton, dest_npi)
SELECT u.esme, u.id, u.kind, u.subject, u.at_ms, u.wanted, u.error, u.source, u.source_ton, u.source_npi, u.dest, u.dest_ton,
       u.dest_npi
FROM unnest($1::esme_outbox[]) u
ON CONFLICT DO NOTHING

-- name: told_as
-- The messages that an ESME knows by one id.
SELECT id FROM esme_text WHERE told = $1 AND told <> id AND esme = $2
