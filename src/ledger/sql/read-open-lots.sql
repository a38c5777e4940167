-- An account's lots with something left, and those that wait to become effective or to expire.
-- Parameters: $1 account id. Result: one row a lot. Cost: one partial index scan.
SELECT id, account_id, kind, priority, state, granted_micros, remaining_micros, expired_micros,
       effective_at, expires_at, expired_at, reason, reference_type, reference_id, created_at
FROM lots
WHERE account_id = $1 AND is_open
