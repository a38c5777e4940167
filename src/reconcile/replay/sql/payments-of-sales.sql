-- The payments behind some sales.
-- Parameters: $1 keys. Result: payment_id. Cost: one index look-up each.
SELECT DISTINCT payment_id FROM stripe_sales WHERE key = ANY ($1::text[])
