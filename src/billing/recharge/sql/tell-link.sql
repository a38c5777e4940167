-- The customer was told where to pay. Parameters: $1 id, $2 lease, $3 now.
-- Result: no row where the lease is lost. Cost: one row.
UPDATE recharge_attempts SET link = 'told', lease = NULL, changed_at = $3
WHERE id = $1 AND lease = $2 AND link = 'wanted'
RETURNING id
