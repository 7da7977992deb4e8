-- Statements of delivery receipts, for hot connections.

-- name: find_sent
-- The newest segments of a link with a carrier's id, in each of the forms that it may be written in;
-- `n` is the receipt's place in the batch. Carriers that count their ids round and round repeat them
-- after a while; the limit bounds what one costs that gives all texts the same id.
SELECT u.n, s.id, s.segment, s.state, m.target, m.shop, m.segments, u.carrier
FROM unnest($2::int4[], $3::text[]) u(n, carrier),
     LATERAL (SELECT s.id, s.segment, s.state FROM status s
              WHERE s.link = $1 AND s.carrier = u.carrier
              ORDER BY s.link DESC, s.carrier DESC, s.id DESC LIMIT 100) s,
     LATERAL (SELECT m.target, m.shop, m.segments FROM message m WHERE m.id = s.id LIMIT 1) m

-- name: settle
-- The first final receipt holds: a segment that has one is left alone.
UPDATE status SET state = $3, done_ms = $5, error = $4
WHERE ctid = ANY (ARRAY(
  SELECT x.ctid FROM unnest($1::int8[], $2::int2[]) u(id, segment),
         LATERAL (SELECT s.ctid FROM status s
                  WHERE s.id = u.id AND s.segment = u.segment AND s.state IN (4, 11)
                  FOR UPDATE) x))
RETURNING id, segment

-- name: deliver
-- The same for messages of one segment that were delivered, with their events: what nearly all
-- receipts say, in one statement.
WITH k AS (
  SELECT x.ctid AS row, u.event, u.shop
  FROM unnest($1::int8[], $2::int2[], $3::int4[], $4::int8[]) u(id, segment, shop, event),
       LATERAL (SELECT s.ctid FROM status s
                WHERE s.id = u.id AND s.segment = u.segment AND s.state IN (4, 11)
                FOR UPDATE) x
), s AS (
  UPDATE status SET state = 5, done_ms = $5::int8, error = NULL
  FROM k WHERE status.ctid = k.row
  RETURNING status.id, status.segment, k.shop, k.event
), e AS (
  INSERT INTO event (message, id, shop, kind, segment, at_ms)
  SELECT id, event, shop, 1, segment, $5::int8 FROM s
)
SELECT count(*) AS count FROM s

-- name: sibling_states
-- All segments of messages that have several, locked, to fold the message's state from.
SELECT s.id, s.segment, s.state
FROM unnest($1::int8[]) u(id),
     LATERAL (SELECT s.id, s.segment, s.state FROM status s WHERE s.id = u.id FOR UPDATE) s

-- name: keep_early
INSERT INTO early_receipt (id, link, carrier, phone, state, word, error, at_ms)
SELECT * FROM unnest($1::int8[], $2::int4[], $3::text[], $4::text[], $5::int2[], $6::text[],
                     $7::text[], $8::int8[])
ON CONFLICT DO NOTHING

-- name: drop_early
DELETE FROM early_receipt WHERE id = ANY ($1::int8[]) RETURNING id

-- name: load_early
-- The newest early receipts of a link, newest first.
SELECT id, link, carrier, phone, state, word, error
FROM early_receipt WHERE link = $1 ORDER BY link DESC, id DESC LIMIT $2

-- name: drop_older_early
-- Early receipts of a link that are older than those it may keep.
DELETE FROM early_receipt WHERE id = ANY (ARRAY(
  SELECT id FROM early_receipt WHERE link = $1 AND id < $2 ORDER BY link, id))

-- name: find_doubt
-- The oldest segments in doubt of a link and destination, written with and without a plus sign.
SELECT d.id, d.segment, d.target, m.shop, m.segments
FROM (SELECT d.* FROM unnest($2::text[]) t(target),
             LATERAL (SELECT d.id, d.segment, d.target FROM in_doubt d
                      WHERE d.link = $1 AND d.target = t.target
                      ORDER BY d.link, d.target, d.id, d.segment LIMIT $3) d) d,
     LATERAL (SELECT m.shop, m.segments FROM message m WHERE m.id = d.id LIMIT 1) m

-- name: end_doubt
DELETE FROM in_doubt WHERE link = $1 AND target = $2 AND id = $3 AND segment = $4

-- name: read_id_form
-- How the ids in a link's receipts differ from those in its responses, as far as it was learned.
SELECT id_form FROM link WHERE id = $1

-- name: put_id_form
UPDATE link SET id_form = $2 WHERE id = $1
