-- Whose a sale of a subscription is: by itself, and by the subscription.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: reads the sales, a probe each.
SELECT s.key AS subject, s.account_id, s.account_id AS one, u.account_id AS other
FROM stripe_sales s
JOIN subscriptions u ON u.id = s.subscription_id
WHERE s.account_id > $1 AND s.account_id <= $2 AND s.created_at < $3::timestamptz
  AND u.account_id <> s.account_id
ORDER BY s.key
LIMIT 1000
