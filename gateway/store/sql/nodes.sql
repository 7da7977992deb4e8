-- Statements of nodes and their leases. Times are the database's, so that clocks of machines need not agree.

-- name: find_node
SELECT id, epoch, machine, until > now() AS is_alive FROM node WHERE name = $1

-- name: free_node
-- The lowest free node number, or one whose owner has been gone for a day.
SELECT n FROM generate_series(0, 1023) n
WHERE NOT EXISTS (SELECT FROM node WHERE id = n AND until > now() - interval '1 day')
  AND NOT EXISTS (SELECT FROM flight WHERE node = n)
ORDER BY n LIMIT 1

-- name: register_node
INSERT INTO node (id, name, epoch, machine, until)
VALUES ($1, $2, $3, $4, now() + $5::float8 * interval '1 second')
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, epoch = excluded.epoch, machine = excluded.machine, until = excluded.until

-- name: renew_node
-- False when another process took the number: its epoch is higher.
UPDATE node SET until = now() + $3::float8 * interval '1 second' WHERE id = $1 AND epoch = $2 RETURNING id

-- name: leave_binds
DELETE FROM bind WHERE node = $1 AND epoch = $2

-- name: leave_node
UPDATE node SET until = now() WHERE id = $1 AND epoch = $2

-- name: gone_nodes
-- Nodes whose lease has run out, or whose process was started anew, and whose flights are still
-- there.
SELECT n.id FROM node n
WHERE n.id <> $1
  AND EXISTS (SELECT FROM flight f WHERE f.node = n.id AND (n.until < now() OR n.epoch > f.epoch))

-- name: fence_gone
-- Ends the epoch of nodes whose lease has run out, before their flights are taken: one that only slept
-- can then renew it no more.
UPDATE node SET epoch = epoch + 1
WHERE id <> $1 AND until < now()
  AND EXISTS (SELECT FROM flight f WHERE f.node = node.id AND f.epoch = node.epoch)

-- name: highest_ids
SELECT greatest((SELECT max(id) FROM message), (SELECT max(id) FROM reply),
                (SELECT max(id) FROM flight), (SELECT max(id) FROM early_receipt)) AS id

-- name: acquire_bind
-- A bind that nobody has, for a node that has less than its share of the $6 that the link has: those
-- with a negative index say which nodes run the link, and have no share.
INSERT INTO bind (link, index, node, epoch, until)
SELECT $1, $2::int2, $3::int2, $4, now() + $5::float8 * interval '1 second'
WHERE $2::int2 < 0
   OR (SELECT count(*) FILTER (WHERE b.index >= 0 AND b.index <> $2::int2 AND b.node = $3::int2)
              < ceil($6::float8 / greatest(count(*) FILTER (WHERE b.index < 0), 1))
       FROM bind b WHERE b.link = $1 AND b.until > now())
ON CONFLICT (link, index) DO UPDATE
SET node = excluded.node, epoch = excluded.epoch, until = excluded.until
WHERE bind.until < now() OR bind.node = excluded.node
RETURNING link

-- name: shares
-- Links of which this node holds several binds while others run them too.
SELECT link, count(*) FILTER (WHERE index < 0) AS nodes
FROM bind WHERE until > now()
GROUP BY link
HAVING count(*) FILTER (WHERE index < 0) > 1 AND count(*) FILTER (WHERE index >= 0 AND node = $1) > 1

-- name: held_binds
-- What of these links some node has.
SELECT link, index FROM bind WHERE link = ANY ($1::int4[]) AND until > now()

-- name: renew_binds
UPDATE bind SET until = now() + $3::float8 * interval '1 second'
WHERE node = $1 AND epoch = $2 AND (link, index) IN (SELECT * FROM unnest($4::int4[], $5::int2[]))
RETURNING link, index

-- name: release_bind
DELETE FROM bind WHERE link = $1 AND index = $2 AND node = $3 AND epoch = $4

-- name: put_link
INSERT INTO link (name, kind, has_receipts) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, has_receipts = excluded.has_receipts
RETURNING id

-- name: put_route
INSERT INTO route (name, kind) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind
RETURNING id

-- name: others
SELECT EXISTS (SELECT FROM node WHERE id <> $1 AND until > now())

-- name: notify
SELECT pg_notify($1, p) FROM unnest($2::text[]) p
