-- What we know of one of Stripe's subscriptions and of whose it is.
-- Parameters: $1 subscription id, $2 customer id. Result: one row. Cost: a few index look-ups.
SELECT a.id AS account_id, a.status AS account_status, a.status_reason, s.status, s.plan_id,
       s.current_period_end, e.state AS entitled, e.blocked, e.subscription_id AS entitled_by,
       e.plan_id AS entitled_plan
FROM (SELECT 1) one
LEFT JOIN accounts a ON a.stripe_customer_id = $2
LEFT JOIN subscriptions s ON s.id = $1
LEFT JOIN entitlements e ON e.account_id = a.id
