-- What the in-memory copy of shops, numbers and keys reads. Never on the message path.

-- name: shops_after
-- One page of shops, by id.
SELECT id, code, name, main_phone, contact_email, time_zone, support_until, method, is_held,
  language, voice, engines, allowed, lexicon
FROM shop
WHERE id > $1
ORDER BY id
LIMIT $2

-- name: shops_by_id
SELECT id, code, name, main_phone, contact_email, time_zone, support_until, method, is_held,
  language, voice, engines, allowed, lexicon
FROM shop
WHERE id = ANY($1::int4[])

-- name: numbers_of_shops
-- The numbers assigned now; a shop's oldest is its first.
SELECT a.number, a.shop, a.route, r.name AS route_name, a.campaign
FROM number_assignment AS a
JOIN route AS r ON r.id = a.route
WHERE a.shop = ANY($1::int4[]) AND a.until IS NULL
ORDER BY a.shop, a.since, a.id

-- name: keys_after
-- One page of the keys that are valid, by label.
SELECT hash, label, shop
FROM api_key
WHERE label > $1 AND revoked IS NULL
ORDER BY label
LIMIT $2

-- name: keys_by_label
SELECT hash, label, shop
FROM api_key
WHERE label = ANY($1::text[]) AND revoked IS NULL

-- name: announce
-- Tells every directory, when the transaction commits, what to read again.
SELECT pg_notify('gateway_directory', $1)
