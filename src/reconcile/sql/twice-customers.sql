-- Which customer of Stripe's an account is, kept in three places.
-- Parameters: $1 changed before, $2 most rows. Result: the accounts where they differ.
-- Cost: reads subscriptions and customers.
SELECT a.id, a.stripe_customer_id, o.source, o.customer_id
FROM (
  SELECT account_id, customer_id, 'subscription ' || id AS source, changed_at AS at
  FROM subscriptions
  UNION ALL
  SELECT account_id, customer_id, 'customer planned', planned_at
  FROM stripe_customers WHERE customer_id IS NOT NULL
) o
JOIN accounts a ON a.id = o.account_id
WHERE o.at < $1::timestamptz AND a.stripe_customer_id IS DISTINCT FROM o.customer_id
ORDER BY a.id, o.source
LIMIT $2
