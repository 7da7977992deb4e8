-- Statements about SIP trunks: what the nodes that run them tell.

-- name: put_states
-- What node $1 says of its trunks; those that it has no more are forgotten.
WITH said AS (
  SELECT * FROM jsonb_to_recordset($2::text::jsonb) AS s (trunk text, state text, since float8, error text, figures jsonb)
), gone AS (
  DELETE FROM trunk_state t WHERE t.node = $1 AND NOT EXISTS (SELECT FROM said s WHERE s.trunk = t.trunk)
)
INSERT INTO trunk_state (trunk, node, state, since, error, figures, updated)
SELECT s.trunk, $1, s.state, to_timestamp(s.since), s.error, s.figures, now() FROM said s
ON CONFLICT (trunk, node) DO UPDATE
SET state = excluded.state, since = excluded.since, error = excluded.error, figures = excluded.figures,
    updated = excluded.updated

-- name: show_trunks
SELECT t.trunk, n.name AS node, t.state, t.since, t.error, t.figures, t.updated,
       t.updated > now() - interval '30 seconds' AS is_fresh
FROM trunk_state t LEFT JOIN node n ON n.id = t.node
WHERE ($1::text IS NULL OR t.trunk = $1) AND t.updated > now() - interval '1 day'
ORDER BY t.trunk, n.name
