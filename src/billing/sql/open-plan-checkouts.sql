-- Pages on which an account can pay for a plan.
-- Parameters: $1 account id, $2 plan id, $3 now. Result: a row each, few.
-- Cost: an index range of the account's checkouts.
SELECT session_id
FROM checkout_sessions
WHERE account_id = $1 AND item_kind = 'plan' AND item_id = $2
  AND state IN ('open', 'pending') AND session_id IS NOT NULL AND expires_at > $3
ORDER BY created_at, id
LIMIT 100
