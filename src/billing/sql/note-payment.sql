-- Keeps a payment as it was just seen.
-- Parameters: $1 id, $2 account id, $3 currency, $4 paid, $5 refunded, $6 withdrawn, $7 paid at,
-- $8 now. Result: none. Cost: one row.
INSERT INTO stripe_payments (id, account_id, currency, paid_amount, refunded_amount,
                             withdrawn_amount, paid_at, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE
SET paid_amount = excluded.paid_amount, refunded_amount = excluded.refunded_amount,
    withdrawn_amount = excluded.withdrawn_amount, changed_at = excluded.changed_at
