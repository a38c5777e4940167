-- Lots by id, whatever their state.
-- Parameters: $1 lot ids. Result: one row a lot. Cost: one index look-up each.
SELECT id, account_id, kind, priority, state, granted_micros, remaining_micros, expired_micros,
       effective_at, expires_at, expired_at, reason, reference_type, reference_id, created_at
FROM lots
WHERE id = ANY ($1::uuid[])
