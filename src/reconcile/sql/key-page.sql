-- The last key of a page.
-- Parameters: $1 key to start after, $2 most keys. Result: its id and how many; cost: the page.
SELECT max(id) AS id, count(*) AS keys
FROM (SELECT id FROM api_keys WHERE id > $1 AND kind = 'client' ORDER BY id LIMIT $2) page
