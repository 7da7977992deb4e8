-- Statements that cancel a message.

-- name: find
SELECT id, shop, route, rank, due_ms, segments FROM message WHERE id = $1

-- name: states
SELECT segment, state FROM status WHERE id = $1

-- name: is_flying
SELECT EXISTS (SELECT FROM flight WHERE $1 = ANY (ids))

-- name: leave_queue
DELETE FROM queue WHERE route = $1 AND rank = $2 AND id = $3

-- name: leave_later
DELETE FROM later WHERE due_ms = $1 AND id = $2

-- name: leave_hold
DELETE FROM hold WHERE id = $1

-- name: close
-- The key decides a race: whoever writes the segment's row first.
WITH s AS (
  INSERT INTO status (id, segment, state, tries, done_ms, error)
  VALUES ($1, $2, 9, 0, $4, 'canceled on request')
  ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO event (message, id, shop, kind, at_ms) SELECT id, $5, $3, 5, $4 FROM s RETURNING message
