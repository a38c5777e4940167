-- Reads what became of an idempotency key.
-- $1 account_id text, $2 key text
-- Result: at most one row. `has_receipt`: the hold was charged, perhaps by
-- recovery, which keeps no answer.
-- Cost: one primary-key look-up in each of two tables.
SELECT hold_id, body_hash, lease_until, state, status, headers, body, expires_at,
       EXISTS (SELECT 1 FROM usage u WHERE u.hold_id = r.hold_id) AS has_receipt
FROM idempotent_requests r
WHERE account_id = $1 AND key = $2
