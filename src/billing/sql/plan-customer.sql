-- Writes down that a customer is to be made, once an account.
-- Parameters: $1 account id, $2 idempotency key, $3 now. Result: none. Cost: one row.
INSERT INTO stripe_customers (account_id, idempotency_key, planned_at)
VALUES ($1, $2, $3)
ON CONFLICT (account_id) DO NOTHING
