-- Whose customer it is.
-- Parameters: $1 customer id. Result: no row or one. Cost: one index look-up.
SELECT id FROM accounts WHERE stripe_customer_id = $1
