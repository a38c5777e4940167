-- Accounts and keys whose copy in a credit engine may be stale.
-- Parameters: $1 time, $2 most rows of each sort. Result: oldest first. Cost: two index ranges.
(SELECT 'account' AS kind, id, id AS account_id, change_seq, changed_at
 FROM accounts WHERE changed_at >= $1::timestamptz ORDER BY changed_at LIMIT $2)
UNION ALL
(SELECT 'key', id, account_id, change_seq, changed_at
 FROM api_keys WHERE changed_at >= $1::timestamptz AND account_id IS NOT NULL
 ORDER BY changed_at LIMIT $2)
ORDER BY changed_at
