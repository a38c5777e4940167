-- The card that a customer set up, unless it set up a later one.
-- Parameters: $1 account id, $2 payment method, $3 when it was set up, $4 now.
-- Result: no row where a later one is kept. Cost: one row.
INSERT INTO recharges AS r (account_id, state, reason, payment_method, method_at, due_at,
                            changed_at)
VALUES ($1, 'off', 'not_set_up', $2, $3, $4, $4)
ON CONFLICT (account_id) DO UPDATE
SET payment_method = excluded.payment_method, method_at = excluded.method_at,
    changed_at = excluded.changed_at
WHERE r.method_at IS NULL OR r.method_at <= excluded.method_at
RETURNING account_id
