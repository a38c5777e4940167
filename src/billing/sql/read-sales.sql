-- What a payment grants.
-- Parameters: $1 payment id. Result: one row a sale. Cost: one index range.
SELECT key, payment_id, account_id, item_kind, item_id, kind, micros, expires_at
FROM stripe_sales
WHERE payment_id = $1
ORDER BY key
