-- Which links serve which routes, as the settings have it. Read by reports, and by processes whose settings name other links.

-- name: put_route_link
INSERT INTO route_link (route, link, weight, standby) VALUES ($1, $2, $3, $4)
ON CONFLICT (route, link) DO UPDATE SET weight = excluded.weight, standby = excluded.standby

-- name: drop_routes
-- Routes that links $1 serve no more, since the settings name them no more: $2 are those that they do.
DELETE FROM route_link WHERE link = ANY ($1::int4[]) AND route <> ALL ($2::int4[])

-- name: drop_route_links
-- Links that serve a route no more.
DELETE FROM route_link WHERE route = $1 AND link <> ALL ($2::int4[])
