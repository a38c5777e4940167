-- Reads what became of an idempotency key.
-- $1 account_id text, $2 key text
-- Result: at most one row. `charged_micros`: what the hold was charged, perhaps by
-- recovery, which keeps no answer; null = it was not.
-- Cost: one primary-key look-up in each of two tables.
SELECT hold_id, body_hash, lease_until, state, status, headers, body,
       (SELECT u.micros FROM usage u WHERE u.hold_id = r.hold_id
        ORDER BY u.rev DESC LIMIT 1) AS charged_micros
FROM idempotent_requests r
WHERE account_id = $1 AND key = $2
