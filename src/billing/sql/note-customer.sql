-- Notes the customer that Stripe made.
-- Parameters: $1 account id, $2 customer id. Result: none. Cost: one row.
UPDATE stripe_customers SET customer_id = $2 WHERE account_id = $1
