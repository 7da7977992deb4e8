-- Statements of the message path, for hot connections. Each reaches queue, message, status, later,
-- contact and event by index or ctid only, whatever the statistics say: a test asserts it. A look-up
-- for each row of something is a LATERAL with a LIMIT: without it the planner is free to turn the join
-- around and to read the table from end to end.

-- name: accept
-- One group commit: messages, each with its place, fed from what the insert returned; what the
-- requests said of their contacts, where it is news; and idempotency keys with their first answers. A
-- key that is there already fails the group: it is then looked up. Rows come as arrays of the tables' own
-- types: a client encodes those faster than an array for each column.
WITH m AS (
  INSERT INTO message (id, shop, route, rank, place, channel, category, encoding, segments, due_ms,
                       expires_ms, parent, sender, target, body, reference, source, reason)
  SELECT u.id, u.shop, u.route, u.rank, u.place, u.channel, u.category, u.encoding, u.segments, u.due_ms,
         u.expires_ms, u.parent, u.sender, u.target, u.body, u.reference, u.source, u.reason
  FROM unnest($1::message[]) u
  RETURNING id, shop, route, rank, place, due_ms, target, reason
), q AS (
  INSERT INTO queue (route, rank, id, shop, tries)
  SELECT route, rank, id, shop, 0 FROM m WHERE place = 1
), f AS (
  INSERT INTO flight (id, node, epoch, route, link, ids)
  SELECT x.id, $3::int2, $4::int4, x.route, x.link, members.ids
  FROM unnest($5::int8[], $6::int4[], $7::int4[], $13::int8[], $14::int8[], $15::int8[],
              $16::int8[]) x(id, route, link, from_rank, from_id, to_rank, to_id),
       LATERAL (SELECT array_agg(m.id) AS ids FROM m
                WHERE m.place = 2 AND m.route = x.route
                  AND (m.rank, m.id) >= (x.from_rank, x.from_id)
                  AND (m.rank, m.id) <= (x.to_rank, x.to_id)) members
  WHERE members.ids IS NOT NULL
), l AS (
  INSERT INTO later (due_ms, id, route, rank, shop, tries)
  SELECT due_ms, id, route, 0, shop, 0 FROM m WHERE place = 3
), h AS (
  INSERT INTO hold (id, shop, route, phone, reason, until_ms, tries)
  SELECT id, shop, route, target, reason, due_ms, 0 FROM m WHERE place = 4
), s AS (
  INSERT INTO status (id, segment, state, tries, done_ms, error)
  SELECT id, 0, 10, 0, $2::int8, reason FROM m WHERE place = 5
), c AS (
  INSERT INTO contact AS known (shop, phone, kind, contact, name, zone, sms_alerts)
  SELECT u.shop, u.phone, u.kind, u.contact, u.name, u.zone, u.sms_alerts FROM unnest($8::contact[]) u
  ON CONFLICT (shop, phone) DO UPDATE
  SET kind = excluded.kind, contact = excluded.contact, name = excluded.name,
      zone = coalesce(excluded.zone, known.zone),
      sms_alerts = coalesce(excluded.sms_alerts, known.sms_alerts)
  WHERE (known.kind, known.contact, known.name, known.zone, known.sms_alerts) IS DISTINCT FROM
        (excluded.kind, excluded.contact, excluded.name, coalesce(excluded.zone, known.zone),
         coalesce(excluded.sms_alerts, known.sms_alerts))
), i AS (
  INSERT INTO idempotency (shop, key, fingerprint, answer, at_ms)
  SELECT u.*, $2::int8 FROM unnest($9::int4[], $10::text[], $11::bytea[], $12::text[]) u
)
INSERT INTO event (message, id, shop, kind, at_ms, detail)
SELECT id, id, shop, CASE place WHEN 4 THEN 8 ELSE 6 END, $2::int8,
       jsonb_build_object('reason', reason)
FROM m WHERE place IN (4, 5)

-- name: find_contacts
-- What is known of the phones that requests did not describe.
SELECT c.shop, c.phone, c.sms_alerts, c.number
FROM unnest($1::int4[], $2::text[]) u(shop, phone),
     LATERAL (SELECT * FROM contact c WHERE c.shop = u.shop AND c.phone = u.phone LIMIT 1) c

-- name: find_keys
SELECT i.shop, i.key, i.fingerprint, i.answer
FROM unnest($1::int4[], $2::text[]) u(shop, key),
     LATERAL (SELECT * FROM idempotency i WHERE i.shop = u.shop AND i.key = u.key LIMIT 1) i

-- name: lock_route
-- One claim, cancel or sweep at a time on a route.
SELECT pg_advisory_xact_lock(1, $1)

-- name: claim
-- Up to $5 messages of a route, higher lanes first, each lane from its cursor on, but none with a pin
-- of $10; claimed together as one flight. `answered`: the segments that have a status row, as segment * 16 + state, so that a
-- resend leaves them out.
WITH l0 AS (
  SELECT ctid AS row FROM queue WHERE route = $1 AND rank >= $2 AND rank < 1::int8 << 60
    AND (pin IS NULL OR pin <> ALL ($10::int4[]))
  ORDER BY rank, id LIMIT $5
), l1 AS (
  SELECT ctid AS row FROM queue WHERE route = $1 AND rank >= $3 AND rank < 2::int8 << 60
    AND (pin IS NULL OR pin <> ALL ($10::int4[]))
  ORDER BY rank, id LIMIT $5 - (SELECT count(*) FROM l0)
), l2 AS (
  SELECT ctid AS row FROM queue WHERE route = $1 AND rank >= $4 AND rank < 3::int8 << 60
    AND (pin IS NULL OR pin <> ALL ($10::int4[]))
  ORDER BY rank, id LIMIT $5 - (SELECT count(*) FROM l0) - (SELECT count(*) FROM l1)
), k AS (
  DELETE FROM queue WHERE ctid = ANY (ARRAY(
    SELECT row FROM l0 UNION ALL SELECT row FROM l1 UNION ALL SELECT row FROM l2))
  RETURNING id, rank, tries, pin
), f AS (
  INSERT INTO flight (id, node, epoch, route, link, ids)
  SELECT $6, $7, $8, $1, $9, array_agg(id) FROM k HAVING count(*) > 0
)
SELECT m.id, m.shop, m.channel, m.category, m.encoding, m.segments, m.expires_ms, m.parent,
       m.sender, m.target, m.body, k.rank, k.tries, k.pin,
       (SELECT array_agg(s.segment * 16 + s.state) FROM status s WHERE s.id = k.id) AS answered,
       (SELECT c.sms_alerts FROM contact c
        WHERE c.shop = m.shop AND c.phone = m.target) AS sms_alerts
FROM k, LATERAL (SELECT * FROM message m WHERE m.id = k.id LIMIT 1) m

-- name: claim_pinned
-- The same for a link whose turn it is not: up to $2 messages of a route, of those with a pin of $7.
WITH k AS (
  DELETE FROM queue WHERE ctid = ANY (ARRAY(
    SELECT x.row FROM unnest($7::int4[]) u(pin),
           LATERAL (SELECT q.ctid AS row FROM queue q
                    WHERE q.route = $1 AND q.pin = u.pin AND q.pin IS NOT NULL
                    ORDER BY q.rank, q.id LIMIT $2) x
    LIMIT $2))
  RETURNING id, rank, tries, pin
), f AS (
  INSERT INTO flight (id, node, epoch, route, link, ids)
  SELECT $3, $4, $5, $1, $6, array_agg(id) FROM k HAVING count(*) > 0
)
SELECT m.id, m.shop, m.channel, m.category, m.encoding, m.segments, m.expires_ms, m.parent,
       m.sender, m.target, m.body, k.rank, k.tries, k.pin,
       (SELECT array_agg(s.segment * 16 + s.state) FROM status s WHERE s.id = k.id) AS answered,
       (SELECT c.sms_alerts FROM contact c
        WHERE c.shop = m.shop AND c.phone = m.target) AS sms_alerts
FROM k, LATERAL (SELECT * FROM message m WHERE m.id = k.id LIMIT 1) m

-- name: assigned_numbers
-- Which of these shops have which of these numbers now.
SELECT u.shop, u.number
FROM unnest($1::int4[], $2::text[]) u(shop, number),
     LATERAL (SELECT a.id FROM number_assignment a
              WHERE a.number = u.number AND a.shop = u.shop AND a.until IS NULL LIMIT 1) a

-- name: flush
-- What the peers answered, the flights that are over, and the present of each lane.
WITH s AS (
  INSERT INTO status (id, segment, link, state, tries, sent_ms, done_ms, carrier, error)
  SELECT u.id, u.segment, u.link, u.state, u.tries, u.sent_ms, u.done_ms, u.carrier, u.error
  FROM unnest($1::status[]) u
  ON CONFLICT (id, segment) DO UPDATE
  SET link = excluded.link, state = excluded.state, tries = excluded.tries,
      sent_ms = excluded.sent_ms, done_ms = excluded.done_ms, carrier = excluded.carrier,
      error = excluded.error
  WHERE status.state = 11
), v AS (
  INSERT INTO virtual_time (route, lane, rank)
  SELECT * FROM unnest($3::int4[], $4::int2[], $5::int8[])
  ON CONFLICT (route, lane) DO UPDATE SET rank = excluded.rank
  WHERE virtual_time.rank < excluded.rank
)
DELETE FROM flight WHERE id = ANY ($2::int8[])

-- name: add_events
INSERT INTO event (message, id, shop, kind, segment, at_ms, detail)
SELECT * FROM unnest($1::int8[], $2::int8[], $3::int4[], $4::int2[], $5::int2[], $6::int8[],
                     $7::jsonb[])
ON CONFLICT DO NOTHING

-- name: lock_flights
-- What flights hold: a message that is in its flight no more was moved by an earlier attempt.
SELECT id, ids FROM flight WHERE id = ANY ($1::int8[]) ORDER BY id FOR UPDATE

-- name: leave_flights
-- Messages that go elsewhere than to `status` leave their flights, which live on with the rest.
UPDATE flight f SET ids = ARRAY(SELECT i FROM unnest(f.ids) i WHERE i <> ALL ($2::int8[]))
WHERE f.id = ANY ($1::int8[])

-- name: requeue
INSERT INTO queue (route, rank, id, shop, tries, pin)
SELECT * FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int4[], $5::int2[], $6::int4[])
ON CONFLICT DO NOTHING

-- name: defer
INSERT INTO later (due_ms, id, route, rank, shop, tries, pin)
SELECT * FROM unnest($1::int8[], $2::int8[], $3::int4[], $4::int8[], $5::int4[], $6::int2[],
                     $7::int4[])
ON CONFLICT DO NOTHING

-- name: put_on_hold
INSERT INTO hold (id, shop, route, phone, reason, until_ms, tries, pin)
SELECT * FROM unnest($1::int8[], $2::int4[], $3::int4[], $4::text[], $5::text[], $6::int8[],
                     $7::int2[], $8::int4[])
ON CONFLICT DO NOTHING

-- name: doubt
-- Segments in doubt, unless a receipt has settled them since.
INSERT INTO in_doubt (link, target, id, segment, at_ms)
SELECT u.* FROM unnest($1::int4[], $2::text[], $3::int8[], $4::int2[], $5::int8[])
                u(link, target, id, segment, at_ms)
WHERE 11 = (SELECT s.state FROM status s WHERE s.id = u.id AND s.segment = u.segment)
ON CONFLICT DO NOTHING

-- name: next_due
SELECT due_ms FROM later ORDER BY due_ms, id LIMIT 1

-- name: promote
-- Due messages leave `later`; whoever puts them into the queue drops those that are settled. Under
-- the lock of the one promoter.
WITH p AS (
  DELETE FROM later WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM later WHERE due_ms <= $1 ORDER BY due_ms, id LIMIT $2))
  RETURNING id, route, rank, shop, tries, pin
)
SELECT p.*, m.category,
       (SELECT true FROM status s
        WHERE s.id = p.id AND s.state IN (6, 7, 8, 9, 10) LIMIT 1) AS is_settled
FROM p, LATERAL (SELECT category FROM message m WHERE m.id = p.id LIMIT 1) m

-- name: release
-- Messages of one shop and reason leave `hold`, oldest first.
WITH r AS (
  DELETE FROM hold WHERE id = ANY (ARRAY(
    SELECT id FROM hold WHERE shop = $1 AND reason = $2 ORDER BY shop, reason, id LIMIT $3))
  RETURNING id, route, shop, tries, pin
)
SELECT r.*, 0::int8 AS rank, m.category,
       (SELECT true FROM status s
        WHERE s.id = r.id AND s.state IN (6, 7, 8, 9, 10) LIMIT 1) AS is_settled
FROM r, LATERAL (SELECT category FROM message m WHERE m.id = r.id LIMIT 1) m

-- name: release_route
-- Messages of one route that no link served leave `hold`, oldest first.
WITH r AS (
  DELETE FROM hold WHERE id = ANY (ARRAY(
    SELECT id FROM hold WHERE reason = 'no-link' AND route = $1 ORDER BY reason, route, id LIMIT $2))
  RETURNING id, route, shop, tries, pin
)
SELECT r.*, 0::int8 AS rank, m.category,
       (SELECT true FROM status s
        WHERE s.id = r.id AND s.state IN (6, 7, 8, 9, 10) LIMIT 1) AS is_settled
FROM r, LATERAL (SELECT category FROM message m WHERE m.id = r.id LIMIT 1) m

-- name: strand
-- Up to $2 messages of a route without a link go from the queue to `hold`. Under the route's lock.
WITH k AS (
  DELETE FROM queue WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM queue WHERE route = $1 ORDER BY rank, id LIMIT $2))
  RETURNING id, shop, route, tries, pin
)
INSERT INTO hold (id, shop, route, phone, reason, until_ms, tries, pin)
SELECT k.id, k.shop, k.route, m.target, 'no-link', NULL, k.tries, k.pin
FROM k, LATERAL (SELECT target FROM message m WHERE m.id = k.id LIMIT 1) m
RETURNING id, shop

-- name: walk_queue
-- The next $4 messages of a route's queue from (rank, id) on, with their validity: for the sweep of
-- what expired.
SELECT q.rank, q.id, q.shop, m.expires_ms
FROM (SELECT rank, id, shop FROM queue
      WHERE route = $1 AND (rank, id) > ($2, $3) ORDER BY rank, id LIMIT $4) q,
     LATERAL (SELECT expires_ms FROM message m WHERE m.id = q.id LIMIT 1) m

-- name: route_binds
-- What the binds that could carry a route's messages do, as living processes last said.
SELECT l.name, s.state, s.since
FROM route_link a JOIN link l ON l.id = a.link JOIN link_state s ON s.link = a.link
WHERE a.route = $1 AND s.updated > now() - interval '30 seconds'
ORDER BY a.standby, l.name, s.bind

-- name: walk_hold
SELECT h.id, h.shop, h.reason, m.expires_ms
FROM (SELECT id, shop, reason FROM hold WHERE id > $1 ORDER BY id LIMIT $2) h,
     LATERAL (SELECT expires_ms FROM message m WHERE m.id = h.id LIMIT 1) m

-- name: expire_queued
-- Messages of a route's queue whose validity has passed, by rank and id; returns those that expired
-- by it. $5 says why they waited. The first segment without an answer speaks for the rest. Under the
-- route's lock.
WITH k AS (
  DELETE FROM queue WHERE ctid = ANY (ARRAY(
    SELECT x.ctid FROM unnest($2::int8[], $3::int8[]) u(rank, id),
           LATERAL (SELECT q.ctid FROM queue q
                    WHERE q.route = $1 AND q.rank = u.rank AND q.id = u.id LIMIT 1) x))
  RETURNING id, tries
)
INSERT INTO status (id, segment, state, tries, done_ms, error)
SELECT k.id, open.segment, 8, k.tries, $4, $5
FROM k, LATERAL (SELECT segments FROM message m WHERE m.id = k.id LIMIT 1) m,
     LATERAL (SELECT min(n) AS segment FROM generate_series(0, m.segments - 1) n
              WHERE (SELECT 1 FROM status s WHERE s.id = k.id AND s.segment = n) IS NULL) open
WHERE open.segment IS NOT NULL
  AND (SELECT 1 FROM status s
       WHERE s.id = k.id AND s.state IN (6, 7, 8, 9, 10) LIMIT 1) IS NULL
ON CONFLICT DO NOTHING
RETURNING id

-- name: expire_held
-- The same for messages in `hold`, by id.
WITH k AS (
  DELETE FROM hold WHERE id = ANY ($1::int8[]) RETURNING id, tries
)
INSERT INTO status (id, segment, state, tries, done_ms, error)
SELECT k.id, open.segment, 8, k.tries, $2, 'its validity passed while it was held'
FROM k, LATERAL (SELECT segments FROM message m WHERE m.id = k.id LIMIT 1) m,
     LATERAL (SELECT min(n) AS segment FROM generate_series(0, m.segments - 1) n
              WHERE (SELECT 1 FROM status s WHERE s.id = k.id AND s.segment = n) IS NULL) open
WHERE open.segment IS NOT NULL
  AND (SELECT 1 FROM status s
       WHERE s.id = k.id AND s.state IN (6, 7, 8, 9, 10) LIMIT 1) IS NULL
ON CONFLICT DO NOTHING
RETURNING id

-- name: poll_routes
-- All routes, with the lowest rank that waits in each, if any, and its message: one index probe a
-- route, however much waits. With the ranks last claimed in them, for the nodes that claim nothing there and yet give
-- ranks: also where nothing waits now. Whether some of it is for one link or for all but one. And
-- whether any process has lately run a link of the route: its bind may be down, but then it is for
-- that process to try. `elsewhere`: links that other nodes than $1 have bound.
SELECT r.id, r.name, q.rank, q.id AS first,
       ARRAY(SELECT v.rank FROM virtual_time v WHERE v.route = r.id) AS presents,
       (SELECT true FROM queue q WHERE q.route = r.id AND q.pin IS NOT NULL
        ORDER BY q.pin, q.rank, q.id LIMIT 1) AS has_pinned,
       EXISTS (SELECT FROM route_link l JOIN link_state s ON s.link = l.link
               WHERE l.route = r.id AND s.updated > now() - interval '30 seconds')
       OR EXISTS (SELECT FROM route_link l JOIN bind b ON b.link = l.link
                  WHERE l.route = r.id AND b.until > now()) AS is_served,
       ARRAY(SELECT DISTINCT l.link FROM route_link l JOIN link_state s ON s.link = l.link
             WHERE l.route = r.id AND s.node <> $1 AND s.state = 'up'
               AND s.updated > now() - interval '30 seconds') AS elsewhere
FROM route r LEFT JOIN
     LATERAL (SELECT q.rank, q.id FROM queue q
              WHERE q.route = r.id ORDER BY q.rank, q.id LIMIT 1) q
     ON true

-- name: read_virtual_times
SELECT route, lane, rank FROM virtual_time

-- name: take_orphans
-- Flights of this node that no memory holds ($3 are those that it does, none of them as new as $4), and
-- those of nodes whose epoch was ended: up to $5, with what each message needs to be decided.
WITH o AS (
  SELECT f.id FROM flight f
  WHERE (f.node = $1 AND f.epoch < $2)
     OR (f.node = $1 AND f.epoch = $2 AND f.id < $4 AND f.id <> ALL ($3::int8[]))
     OR (f.node <> $1 AND EXISTS (
           SELECT FROM node n WHERE n.id = f.node AND n.epoch > f.epoch))
  ORDER BY f.id LIMIT $5
), d AS (
  DELETE FROM flight WHERE id IN (SELECT id FROM o) RETURNING id, node, epoch, route, link, ids
)
SELECT d.id AS flight, d.node, d.epoch, d.route, d.link, m.id, m.shop, m.channel, m.category,
       m.segments, m.target, m.rank,
       (SELECT array_agg(s.segment * 16 + s.state) FROM status s WHERE s.id = m.id) AS answered
FROM d, unnest(d.ids) i(id), LATERAL (SELECT * FROM message m WHERE m.id = i.id LIMIT 1) m

-- name: walk_messages
-- The next $3 messages between two ids, to find those whose receipts never came.
SELECT id, shop, channel, segments, -1::int8 AS since_ms
FROM message WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3

-- name: take_awaited
-- Messages that were too young for that, and are to be looked at again now.
WITH a AS (
  DELETE FROM awaited_receipt WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM awaited_receipt WHERE due_ms <= $1 ORDER BY due_ms, id LIMIT $2))
  RETURNING id, since_ms
)
SELECT a.id, m.shop, m.channel, m.segments, a.since_ms
FROM a, LATERAL (SELECT shop, channel, segments FROM message m WHERE m.id = a.id LIMIT 1) m

-- name: await_receipts
INSERT INTO awaited_receipt (due_ms, id, since_ms)
SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[])
ON CONFLICT DO NOTHING

-- name: answers
-- What peers answered to each segment of these messages, and whether a receipt was to follow.
SELECT s.id, s.segment, s.state, s.sent_ms,
       coalesce((SELECT l.has_receipts FROM link l WHERE l.id = s.link), true) AS has_receipt
FROM unnest($1::int8[]) u(id),
     LATERAL (SELECT * FROM status s WHERE s.id = u.id
              ORDER BY s.id, s.segment LIMIT 1000) s

-- name: read_progress
SELECT position FROM progress WHERE name = $1

-- name: keep_progress
INSERT INTO progress (name, position) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET position = excluded.position

-- name: forget_keys
DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM idempotency WHERE at_ms < $1 ORDER BY at_ms LIMIT $2))

-- name: forget_early
-- Receipts that came before $1, an id, and that no process has tried to the end.
DELETE FROM early_receipt WHERE id = ANY (ARRAY(
  SELECT id FROM early_receipt WHERE id < $1 ORDER BY id LIMIT $2))

-- name: forget_doubts
-- Segments in doubt whose receipt will not come any more. The table is small.
DELETE FROM in_doubt WHERE ctid = ANY (ARRAY(SELECT ctid FROM in_doubt WHERE at_ms < $1 LIMIT $2))

-- name: held_routes
-- Routes that have messages held for want of a link.
SELECT r.id FROM route r,
     LATERAL (SELECT FROM hold h WHERE h.reason = 'no-link' AND h.route = r.id LIMIT 1) h

-- name: held_shops
-- Shops that have messages held for this reason.
SELECT s.id FROM shop s,
     LATERAL (SELECT FROM hold h WHERE h.shop = s.id AND h.reason = $1 LIMIT 1) h

-- name: once
-- True for the one node that does a job now.
SELECT pg_try_advisory_xact_lock(2, $1) AS mine
