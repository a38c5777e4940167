-- A new key for a customer that Stripe does not have and whose old key it has forgotten.
-- Parameters: $1 account id, $2 old key, $3 new key, $4 now. Result: none. Cost: one row.
UPDATE stripe_customers
SET idempotency_key = $3, planned_at = $4
WHERE account_id = $1 AND idempotency_key = $2 AND customer_id IS NULL
