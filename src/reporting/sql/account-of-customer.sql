-- Whose customer it is. Parameters: $1 customer. Result: no row or one, id. Cost: an index look-up.
SELECT id FROM accounts WHERE stripe_customer_id = $1
