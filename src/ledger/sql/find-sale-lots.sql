-- The lots of some sales.
-- Parameters: $1 account id, $2 keys of the sales. Result: one row a sale that has a lot.
-- Cost: one index look-up each.
SELECT id, account_id, kind, priority, state, granted_micros, remaining_micros, expired_micros,
       effective_at, expires_at, expired_at, reason, reference_type, reference_id, created_at
FROM lots
WHERE account_id = $1 AND reference_type = 'sale' AND reference_id = ANY ($2::text[])
