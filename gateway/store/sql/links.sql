-- Statements about links while they run: caps, what operators told them, what they tell.

-- name: draw
-- A portion of a link's daily cap: up to $3 segments, never beyond $4 a day over all nodes.
WITH old AS (DELETE FROM link_day WHERE link = $1 AND day < $2::date - 31)
INSERT INTO link_day AS d (link, day, sent) VALUES ($1, $2, least($3::int8, $4::int8))
ON CONFLICT (link, day) DO UPDATE SET sent = least(d.sent + $3, greatest(d.sent, $4)), before = d.sent
RETURNING d.sent - d.before AS drawn

-- name: give_back
UPDATE link_day SET sent = greatest(sent - $3::int8, 0) WHERE link = $1 AND day = $2

-- name: put_link_states
-- What binds of node $1 do now. A bind that another node reports is left to it when this one only says that it has it not.
INSERT INTO link_state (link, bind, node, state, since, error, next_try, rate, figures, updated)
SELECT s.link, s.bind, $1, s.state, to_timestamp(s.since), s.error, to_timestamp(s.next_try), s.rate, s.figures, now()
FROM jsonb_to_recordset($2::text::jsonb) AS s (link int4, bind int2, state text, since float8, error text,
                                             next_try float8, rate real, figures jsonb)
ON CONFLICT (link, bind) DO UPDATE
SET node = excluded.node, state = excluded.state, since = excluded.since, error = excluded.error,
    next_try = excluded.next_try, rate = excluded.rate, figures = excluded.figures, updated = excluded.updated
WHERE link_state.node = excluded.node OR excluded.state NOT IN ('stopped', 'down')
   OR (link_state.state IN ('stopped', 'down') AND excluded.state <> 'stopped')
   OR link_state.updated < now() - interval '15 seconds'

-- name: stopped
SELECT name, is_stopped FROM link

-- name: set_stopped
UPDATE link SET is_stopped = $2 WHERE name = $1 RETURNING kind

-- name: show_links
SELECT l.name, l.kind, l.is_stopped, s.bind, n.name AS node, s.state, s.since, s.error, s.next_try, s.rate, s.figures,
       s.updated, s.updated > now() - interval '30 seconds' AS is_fresh,
       (SELECT d.sent FROM link_day d WHERE d.link = l.id ORDER BY d.day DESC LIMIT 1) AS drawn
FROM link l LEFT JOIN link_state s ON s.link = l.id AND s.updated > now() - interval '1 day' LEFT JOIN node n ON n.id = s.node
WHERE $1::text IS NULL OR l.name = $1
ORDER BY l.name, s.bind

-- name: forget_states
DELETE FROM link_state WHERE link = $1 AND node = $2 AND bind >= $3
