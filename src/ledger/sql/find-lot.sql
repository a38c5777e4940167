-- The lot that a reference stands for.
-- Parameters: $1 account id, $2 reference type, $3 reference id. Result: no row or one.
-- Cost: one index look-up.
SELECT id, account_id, kind, priority, state, granted_micros, remaining_micros, expired_micros,
       effective_at, expires_at, expired_at, reason, reference_type, reference_id, created_at
FROM lots
WHERE account_id = $1 AND reference_type = $2 AND reference_id = $3
