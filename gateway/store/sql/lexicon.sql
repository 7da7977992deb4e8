-- Shops' own pronunciations. Each change is announced by its caller (sql/directory.sql).

-- name: entries
SELECT written, spoken FROM lexicon WHERE shop = $1 ORDER BY written

-- name: set_entry
INSERT INTO lexicon (shop, written, spoken)
VALUES ($1, $2, $3)
ON CONFLICT (shop, written) DO UPDATE SET spoken = excluded.spoken

-- name: remove_entry
DELETE FROM lexicon WHERE shop = $1 AND written = $2
RETURNING written

-- name: count_change
UPDATE shop SET lexicon = lexicon + 1 WHERE id = $1
