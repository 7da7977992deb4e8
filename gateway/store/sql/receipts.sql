-- Statements of delivery receipts, for hot connections.

-- name: find_sent
-- Segments of a link with any of up to three forms of a carrier's id: `n` is the receipt's place in the batch.
SELECT u.n, s.id, s.segment, s.state, m.target, m.shop, m.segments
FROM unnest($2::int4[], $3::text[], $4::text[], $5::text[]) u(n, a, b, c),
     LATERAL (SELECT s.id, s.segment, s.state FROM status s
              WHERE s.link = $1 AND s.carrier = ANY (ARRAY[u.a, u.b, u.c])) s,
     LATERAL (SELECT m.target, m.shop, m.segments FROM message m WHERE m.id = s.id) m

-- name: settle
-- The first final receipt holds: a segment that has one is left alone.
UPDATE status SET state = $3, done_ms = $5, error = $4
WHERE ctid = ANY (ARRAY(
  SELECT x.ctid FROM unnest($1::int8[], $2::int2[]) u(id, segment),
         LATERAL (SELECT s.ctid FROM status s WHERE s.id = u.id AND s.segment = u.segment AND s.state IN (4, 11) FOR UPDATE) x))
RETURNING id, segment

-- name: sibling_states
-- All segments of messages that have several, locked, to fold the message's state from.
SELECT s.id, s.segment, s.state
FROM unnest($1::int8[]) u(id), LATERAL (SELECT s.id, s.segment, s.state FROM status s WHERE s.id = u.id FOR UPDATE) s

-- name: keep_early
INSERT INTO early_receipt (id, link, carrier, phone, state, word, error, at_ms)
SELECT * FROM unnest($1::int8[], $2::int4[], $3::text[], $4::text[], $5::int2[], $6::text[], $7::text[], $8::int8[])

-- name: drop_early
DELETE FROM early_receipt WHERE id = ANY ($1::int8[])

-- name: load_early
SELECT id, link, carrier, phone, state, word, error, at_ms FROM early_receipt WHERE link = $1 ORDER BY link, id LIMIT $2

-- name: find_doubt
-- The oldest segment in doubt of a link and destination, by the digits of the destination.
SELECT d.id, d.segment, d.target, m.shop, m.segments
FROM (SELECT * FROM in_doubt d WHERE d.link = $1 AND d.target = ANY ($2::text[]) ORDER BY d.link, d.target, d.id, d.segment LIMIT 1) d,
     LATERAL (SELECT m.shop, m.segments FROM message m WHERE m.id = d.id) m

-- name: end_doubt
DELETE FROM in_doubt WHERE link = $1 AND target = $2 AND id = $3 AND segment = $4
