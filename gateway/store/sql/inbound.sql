-- Texts from phones. The first part runs on hot connections, where each statement reaches its tables by index or ctid only.

-- name: lock_groups
-- One transaction at a time decides whether the parts of a text are complete. The keys come in order, against deadlocks.
SELECT pg_advisory_xact_lock(2, k) FROM unnest($1::int4[]) k

-- name: add_parts
-- A part that is there already is a copy.
INSERT INTO mo_part (link, phone, number, reference, total, part, digest, payload, coding, at_ms)
SELECT * FROM unnest($1::int4[], $2::text[], $3::text[], $4::int4[], $5::int2[], $6::int2[], $7::bytea[], $8::bytea[],
                     $9::int2[], $10::int8[])
ON CONFLICT DO NOTHING

-- name: open_parts
-- The parts of these texts that went into no reply yet; under the lock of each.
SELECT u.n, p.ctid AS row, p.part, p.payload, p.coding, p.at_ms
FROM unnest($1::int4[], $2::int4[], $3::text[], $4::text[], $5::int4[], $6::int2[]) u(n, link, phone, number, reference, total),
     LATERAL (SELECT ctid, * FROM mo_part p
              WHERE p.phone = u.phone AND p.number = u.number AND p.link = u.link AND p.reference = u.reference
                AND p.total = u.total AND p.reply IS NULL
              ORDER BY p.phone, p.number, p.link, p.reference, p.total, p.part, p.digest LIMIT 1000) p

-- name: close_parts
UPDATE mo_part SET reply = $1 WHERE ctid = ANY ($2::tid[])

-- name: quarantined
-- Which texts went to a number that another shop gave up less than 30 days ago, from a phone that its new shop never texted from
-- there: they may be meant for the old shop. Scalar subqueries stay probes of an index, whatever the statistics say.
SELECT u.n
FROM unnest($1::int4[], $2::int4[], $3::text[], $4::text[]) u(n, shop, number, phone)
WHERE (SELECT true FROM number_assignment a
       WHERE a.number = u.number AND a.shop <> u.shop AND a.until > now() - interval '30 days' LIMIT 1)
  AND (SELECT true FROM message m
       WHERE m.shop = u.shop AND m.target = u.phone AND m.sender = u.number LIMIT 1) IS NULL

-- name: add_replies
-- Replies, the memory of their copies, their forwards with places in the queue, and what number each phone last talked to. The same
-- rows again change nothing: so a commit whose answer was lost is simply done again.
WITH r AS (
  INSERT INTO reply (id, shop, link, number, phone, body, segments, missing)
  SELECT u.id, u.shop, u.link, u.number, u.phone, u.body, u.segments, u.missing::int2[]
  FROM unnest($1::int8[], $2::int4[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::int2[], $8::text[])
       u(id, shop, link, number, phone, body, segments, missing)
  ON CONFLICT DO NOTHING
), s AS (
  INSERT INTO mo_seen (id, link, digest)
  SELECT * FROM unnest($9::int8[], $10::int4[], $11::bytea[])
  ON CONFLICT DO NOTHING
), c AS (
  INSERT INTO contact AS known (shop, phone, number)
  SELECT * FROM unnest($12::int4[], $13::text[], $14::text[])
  ON CONFLICT (shop, phone) DO UPDATE SET number = excluded.number
  WHERE known.number IS DISTINCT FROM excluded.number
), m AS (
  INSERT INTO message (id, shop, route, rank, place, channel, category, encoding, segments, expires_ms, parent, sender, target,
                       body, source)
  SELECT u.id, u.shop, u.route, u.rank, 1, 2, 3, 0, 1, u.expires_ms, u.parent, u.sender, u.target, u.body, 'reply'
  FROM unnest($15::int8[], $16::int4[], $17::int4[], $18::int8[], $19::int8[], $20::int8[], $21::text[], $22::text[], $23::text[])
       u(id, shop, route, rank, expires_ms, parent, sender, target, body)
  ON CONFLICT DO NOTHING
  RETURNING id, shop, route, rank
)
INSERT INTO queue (route, rank, id, shop, tries) SELECT route, rank, id, shop, 0 FROM m

-- name: seen
-- The texts of a link that may come again, newest first.
SELECT id, digest FROM mo_seen WHERE link = $1 AND id > $2 ORDER BY link DESC, id DESC LIMIT 5000

-- What follows runs now and then, with PostgreSQL's own plans.

-- name: overdue_groups
-- Texts whose first part came before $1 and that are not whole, the oldest first.
SELECT link, phone, number, reference, total
FROM (SELECT * FROM mo_part WHERE reply IS NULL AND at_ms < $1 ORDER BY at_ms LIMIT $2) p
GROUP BY link, phone, number, reference, total
ORDER BY min(at_ms)

-- name: count_groups
SELECT link, count(*) AS texts
FROM (SELECT DISTINCT link, phone, number, reference, total FROM mo_part WHERE reply IS NULL) g
GROUP BY link

-- name: oldest_groups
SELECT link, phone, number, reference, total
FROM mo_part WHERE link = $1 AND reply IS NULL
GROUP BY link, phone, number, reference, total
ORDER BY min(at_ms) LIMIT $2

-- name: delete_parts
-- Parts of texts that became replies before $1.
DELETE FROM mo_part WHERE ctid = ANY (ARRAY(SELECT ctid FROM mo_part WHERE reply < $1 LIMIT $2))

-- name: delete_seen
DELETE FROM mo_seen WHERE id = ANY ($1::int8[])

-- name: delete_old_seen
DELETE FROM mo_seen WHERE ctid = ANY (ARRAY(SELECT ctid FROM mo_seen WHERE id < $1 ORDER BY id LIMIT $2))

-- name: forwards
-- What a mail to a shop says of the reply that it brings.
SELECT r.id, r.number, r.phone, r.segments, r.missing, s.code, s.name AS shop_name, s.time_zone,
       c.kind, c.contact, c.name AS contact_name
FROM reply r
JOIN shop s ON s.id = r.shop
LEFT JOIN contact c ON c.shop = r.shop AND c.phone = r.phone
WHERE r.id = ANY ($1::int8[])
