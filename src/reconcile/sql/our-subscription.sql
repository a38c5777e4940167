-- What we know of one of Stripe's subscriptions, and whose it is: by our row, else by its customer.
-- Parameters: $1 subscription id, $2 customer id. Result: one row. Cost: a few index look-ups.
SELECT a.id AS account_id, a.status AS account_status, a.status_reason, c.id AS customer_account_id,
       s.status, s.plan_id, s.current_period_end AS period_end_ms, e.state AS entitled, e.blocked,
       e.subscription_id AS entitled_by
FROM (SELECT 1) one
LEFT JOIN accounts c ON c.stripe_customer_id = $2
LEFT JOIN subscriptions s ON s.id = $1
LEFT JOIN accounts a ON a.id = coalesce(s.account_id, c.id)
LEFT JOIN entitlements e ON e.account_id = a.id
