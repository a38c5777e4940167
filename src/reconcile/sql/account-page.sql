-- Accounts in order of their ids, a page at a time; or one account.
-- $1 id of the last one seen ('' = from the first), $2 the only id wanted (null = all), $3 rows at
-- most. Result: id. Cost: O(rows) by the primary key.
SELECT id FROM accounts WHERE id > $1 AND ($2::text IS NULL OR id = $2) ORDER BY id LIMIT $3
