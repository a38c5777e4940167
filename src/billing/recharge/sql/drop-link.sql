-- No page could be made for so long that nobody waits for it. Parameters: $1 id, $2 lease, $3 now.
-- Result: none. Cost: one row.
UPDATE recharge_attempts SET link = NULL, lease = NULL, changed_at = $3
WHERE id = $1 AND lease = $2 AND link = 'wanted'
