-- Accounts with a lot to post or to expire.
-- Parameters: $1 time, $2 most rows. Result: ids, longest due first. Cost: a partial index range.
SELECT id
FROM accounts
WHERE next_change_at <= $1::timestamptz
ORDER BY next_change_at
LIMIT $2
