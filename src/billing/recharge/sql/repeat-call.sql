-- Notes that Stripe is about to be asked again. Parameters: $1 id, $2 lease, $3 now.
-- Result: no row where the lease is lost or it is over. Cost: one row.
UPDATE recharge_attempts SET last_call_at = $3
WHERE id = $1 AND lease = $2 AND state = 'called'
RETURNING id
