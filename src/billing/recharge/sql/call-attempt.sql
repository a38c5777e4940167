-- Fixes what Stripe is asked for, before it is.
-- Parameters: $1 id, $2 lease, $3 customer, $4 payment method, $5 mark of the card, $6 amount,
-- $7 currency, $8 now. Result: no row where the lease is lost. Cost: one row.
UPDATE recharge_attempts
SET state = 'called', customer_id = $3, payment_method = $4, card_mark = $5, amount = $6,
    currency = $7, called_at = $8, last_call_at = $8, changed_at = $8
WHERE id = $1 AND lease = $2 AND state = 'planned'
RETURNING *
