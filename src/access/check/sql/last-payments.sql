-- The latest payments of an account.
-- $1 account id, $2 most rows. Result: newest first; amounts in the currency's smallest unit.
-- Cost: an index range.
SELECT id, currency, paid_amount, refunded_amount, withdrawn_amount, paid_at
FROM stripe_payments
WHERE account_id = $1
ORDER BY paid_at DESC
LIMIT $2
