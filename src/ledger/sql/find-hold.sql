-- Whose hold it is.
-- Parameters: $1 hold id. Result: no row or one. Cost: one index look-up.
SELECT account_id
FROM usage
WHERE hold_id = $1
LIMIT 1
