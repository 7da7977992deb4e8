-- How many messages wait, and where: for operators and for the limit of waiting messages per shop. Cold connections only.

-- name: queued
SELECT route, (rank >> 60)::int2 AS lane, shop, count(*) AS count, min(id) AS oldest
FROM queue
GROUP BY 1, 2, 3

-- name: last_ranks
-- Where each shop's waiting messages end, to go on behind them after a restart.
SELECT route, shop, max(rank) AS rank
FROM queue
GROUP BY route, shop, rank >> 60

-- name: deferred
SELECT route, shop, count(*) AS count, min(due_ms) AS due_ms
FROM later
GROUP BY 1, 2

-- name: held
SELECT route, shop, reason, count(*) AS count, min(id) AS oldest
FROM hold
GROUP BY 1, 2, 3

-- name: flying
SELECT route, sum(cardinality(ids)) AS count
FROM flight
GROUP BY 1

-- name: routes
SELECT id, name, kind FROM route ORDER BY name

-- name: route_links
-- The links of each route, those that come first first.
SELECT a.route, l.name, a.standby
FROM route_link a JOIN link l ON l.id = a.link
ORDER BY a.route, a.standby, a.weight DESC, l.name

-- name: shop_codes
SELECT id, code FROM shop WHERE id = ANY ($1::int4[])

-- name: links
SELECT l.name, s.bind, s.state, s.since, s.error, s.next_try, s.rate, s.updated
FROM link_state s JOIN link l ON l.id = s.link
ORDER BY l.name, s.bind

-- name: failed_forwards
-- Replies received since $1 (an id) whose forward to the shop failed for good, the newest first. Ids of replies sort by time.
SELECT m.id, m.parent AS reply, m.shop, e.at_ms, coalesce(e.detail ->> 'reason', e.detail ->> 'error') AS error
FROM message m JOIN event e ON e.message = m.id AND e.kind = 3
WHERE m.parent >= $1 AND m.category = 3
ORDER BY m.parent DESC
LIMIT $2

-- name: unrouted
-- Texts received since $1 (an id) for a number that belonged to no shop.
SELECT count(*) AS count FROM reply WHERE shop IS NULL AND id >= $1
