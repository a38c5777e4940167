-- Accounts in order of their ids, a page at a time.
-- $1 id of the last one seen ('' = from the first), $2 rows at most. Cost: O(rows).
SELECT * FROM accounts WHERE id > $1 ORDER BY id LIMIT $2
