-- Accounts and keys whose copy in a credit engine may be stale, after a place in their order.
-- Parameters: $1 time, $2 kind, $3 id of the place, $4 most rows. Result: oldest first; `at` is
-- the time as text, exact. Cost: two index ranges.
SELECT kind, id, account_id, change_seq, changed_at::text AS at FROM (
  (SELECT 'account' AS kind, id, id AS account_id, change_seq, changed_at
   FROM accounts
   WHERE changed_at >= $1::timestamptz
     AND (changed_at, 'account', id) > ($1::timestamptz, $2::text, $3::text)
   ORDER BY changed_at, id LIMIT $4)
  UNION ALL
  (SELECT 'key', id, account_id, change_seq, changed_at
   FROM api_keys
   WHERE changed_at >= $1::timestamptz
     AND (changed_at, 'key', id) > ($1::timestamptz, $2::text, $3::text)
     AND account_id IS NOT NULL
   ORDER BY changed_at, id LIMIT $4)
) AS changed
ORDER BY changed_at, kind, id LIMIT $4
