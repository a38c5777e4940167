-- The sales of included credits of a subscription.
-- Parameters: $1 subscription id, $2 account id. Result: key. Cost: one partial index range.
SELECT key
FROM stripe_sales
WHERE subscription_id = $1 AND account_id = $2 AND kind = 'included'
ORDER BY key
