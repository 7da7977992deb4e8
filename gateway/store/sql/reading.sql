-- Messages and replies as people look at them. Cold connections only.

-- name: messages
-- Messages with where they are, if not yet sent. `queue` has no index by id: what is in neither hold nor flight waits there or in `later`.
SELECT m.id, m.shop, s.code, r.name AS route, m.place, m.channel, m.category, m.encoding, m.segments, m.due_ms,
       m.expires_ms, m.parent, m.sender, m.target, m.body, m.reference, m.source, m.reason,
       EXISTS (SELECT FROM reply p WHERE p.id = m.parent) AS is_forward,
       h.reason AS held_for, h.until_ms AS held_until_ms,
       EXISTS (SELECT FROM flight f WHERE m.id = ANY (f.ids)) AS is_flying
FROM message m
LEFT JOIN shop s ON s.id = m.shop
LEFT JOIN route r ON r.id = m.route
LEFT JOIN hold h ON h.id = m.id
WHERE m.id = ANY ($1::int8[]) AND ($2::int4 IS NULL OR m.shop = $2)

-- name: parts
SELECT s.id, s.segment, l.name AS link, s.state, s.tries, s.sent_ms, s.done_ms, s.carrier, s.error
FROM status s LEFT JOIN link l ON l.id = s.link
WHERE s.id = ANY ($1::int8[])
ORDER BY s.id, s.segment

-- name: children
SELECT parent, id FROM message WHERE parent = ANY ($1::int8[]) ORDER BY parent, id LIMIT 1000

-- name: due
-- When a message that waits in `later` is due: for a retry, or for the time that it was born with ($2).
SELECT due_ms FROM later WHERE id = $1 AND rank <> 0
UNION ALL
SELECT due_ms FROM later WHERE id = $1 AND due_ms = $2
LIMIT 1

-- name: events
SELECT id, kind, segment, at_ms, detail FROM event WHERE message = $1 ORDER BY at_ms, id LIMIT $2

-- name: find_by_phone
SELECT id FROM message
WHERE shop = $1 AND target = $2 AND id >= $3 AND id < $4 AND ($5::text IS NULL OR reference = $5)
ORDER BY id DESC LIMIT $6

-- name: find_by_reference
SELECT id FROM message
WHERE shop = $1 AND reference = $2 AND id >= $3 AND id < $4
ORDER BY id DESC LIMIT $5

-- name: find_by_shop
SELECT id FROM message WHERE shop = $1 AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4

-- name: find_all
SELECT id FROM message WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3

-- name: replies_of_shop
-- Only those whose transaction, and every older one, has ended: a reader's place then passes none that is still on its way.
SELECT p.id, p.xact::text::int8 AS xact, p.shop, s.code, l.name AS link, p.number, p.phone, p.body, p.segments, p.missing
FROM reply p LEFT JOIN shop s ON s.id = p.shop LEFT JOIN link l ON l.id = p.link
WHERE p.shop = $1 AND (p.xact, p.id) > ($2::text::xid8, $3) AND p.xact < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY p.xact, p.id LIMIT $4

-- name: all_replies
-- The same for all shops, with those for numbers that belong to no shop.
SELECT p.id, p.xact::text::int8 AS xact, p.shop, s.code, l.name AS link, p.number, p.phone, p.body, p.segments, p.missing
FROM reply p LEFT JOIN shop s ON s.id = p.shop LEFT JOIN link l ON l.id = p.link
WHERE (p.xact, p.id) > ($1::text::xid8, $2) AND p.xact < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY p.xact, p.id LIMIT $3
