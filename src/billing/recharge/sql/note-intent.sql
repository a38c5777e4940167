-- Notes the payment that Stripe made of an attempt. Parameters: $1 id, $2 payment, $3 now.
-- Result: none. Cost: one row.
UPDATE recharge_attempts SET payment_intent = $2, changed_at = $3
WHERE id = $1 AND payment_intent IS NULL AND state <> 'planned'
