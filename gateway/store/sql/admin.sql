-- Shops, numbers and keys as operators manage them. Each change is announced by its caller (sql/directory.sql).

-- name: shop_by_code
SELECT id, code, name, main_phone, contact_email, time_zone, support_until, method, is_held,
  language, voice, engines, allowed, lexicon
FROM shop
WHERE code = $1

-- name: lock_shop
-- Changes of one shop and of its numbers happen one after the other.
SELECT id, code, name, main_phone, contact_email, time_zone, support_until, method, is_held,
  language, voice, engines, allowed, lexicon
FROM shop
WHERE code = $1
FOR NO KEY UPDATE

-- name: all_shops
SELECT id, code, name, main_phone, contact_email, time_zone, support_until, method, is_held,
  language, voice, engines, allowed, lexicon
FROM shop
ORDER BY code

-- name: add_shop
-- No row comes back where the code is taken.
INSERT INTO shop (code, name, main_phone, contact_email, time_zone, support_until, method,
  language, voice, engines, allowed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (code) DO NOTHING
RETURNING id

-- name: set_shop
UPDATE shop
SET name = $2, main_phone = $3, contact_email = $4, time_zone = $5, support_until = $6, method = $7,
  language = $8, voice = $9, engines = $10, allowed = $11
WHERE id = $1

-- name: set_held
UPDATE shop SET is_held = $2 WHERE id = $1

-- name: holder_of_number
SELECT a.number, s.id AS shop, s.code, a.route, r.name AS route_name, a.since, a.campaign
FROM number_assignment AS a
JOIN shop AS s ON s.id = a.shop
JOIN route AS r ON r.id = a.route
WHERE a.number = $1 AND a.until IS NULL

-- name: all_numbers
SELECT a.number, s.id AS shop, s.code, a.route, r.name AS route_name, a.since, a.campaign
FROM number_assignment AS a
JOIN shop AS s ON s.id = a.shop
JOIN route AS r ON r.id = a.route
WHERE a.until IS NULL
ORDER BY s.code, a.since, a.id

-- name: assign_number
-- No row comes back where the number is assigned already.
INSERT INTO number_assignment (number, shop, route, campaign)
VALUES ($1, $2, $3, $4)
ON CONFLICT (number) WHERE until IS NULL DO NOTHING
RETURNING since

-- name: set_campaign
-- No row comes back where that is the number's campaign already.
UPDATE number_assignment
SET campaign = $2
WHERE number = $1 AND until IS NULL AND campaign IS DISTINCT FROM $2
RETURNING shop

-- name: release_number
UPDATE number_assignment
SET until = now()
WHERE number = $1 AND until IS NULL
RETURNING shop

-- name: running_routes
-- Routes of which a living process runs a link, whatever these settings say: the sandbox's, or another machine's.
SELECT DISTINCT r.name FROM route r
JOIN route_link AS a ON a.route = r.id
JOIN link_state AS s ON s.link = a.link
WHERE r.kind <> 'mail' AND s.updated > now() - interval '30 seconds'

-- name: route_by_name
SELECT id FROM route WHERE name = $1

-- name: add_route
INSERT INTO route (name, kind)
VALUES ($1, $2)
ON CONFLICT (name) DO NOTHING

-- name: add_key
-- No row comes back where the label is taken.
INSERT INTO api_key (hash, label, shop)
VALUES ($1, $2, $3)
ON CONFLICT (label) DO NOTHING
RETURNING label

-- name: revoke_key
-- Revoking twice keeps the first time.
UPDATE api_key
SET revoked = coalesce(revoked, now())
WHERE label = $1
RETURNING label

-- name: forget_key
DELETE FROM api_key WHERE label = $1

-- name: all_keys
SELECT k.label, s.code, k.created, k.revoked
FROM api_key AS k
LEFT JOIN shop AS s ON s.id = k.shop
ORDER BY k.created, k.label
