-- A page of accounts.
-- Parameters: $1 id to start after, $2 most rows. Result: id. Cost: an index range.
SELECT id FROM accounts WHERE id > $1 ORDER BY id LIMIT $2
