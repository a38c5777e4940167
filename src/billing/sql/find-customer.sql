-- The customer that is being made for an account.
-- Parameters: $1 account id. Result: no row or one. Cost: one index look-up.
SELECT idempotency_key, customer_id, planned_at FROM stripe_customers WHERE account_id = $1
