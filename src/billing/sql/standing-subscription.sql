-- A subscription of an account to a plan that goes on by itself.
-- Parameters: $1 account id, $2 plan id. Result: no row or one. Cost: an index range.
SELECT id
FROM subscriptions
WHERE account_id = $1 AND plan_id = $2 AND ended_at IS NULL AND cancel_at IS NULL
  AND status IN ('active', 'trialing', 'past_due')
ORDER BY started_at DESC, id
LIMIT 1
