-- Accounts with more than one subscription to a plan in force.
-- Parameters: $1 begun before, $2 most rows. Result: account_id, ids. Cost: reads subscriptions.
SELECT account_id, array_agg(id ORDER BY id) AS ids
FROM subscriptions
WHERE plan_id IS NOT NULL AND ended_at IS NULL AND status IN ('active', 'trialing', 'past_due')
  AND started_at < $1::timestamptz
GROUP BY account_id
HAVING count(*) > 1
ORDER BY account_id
LIMIT $2
