-- Subscriptions to plans that we take for being paid or about to be, as they began.
-- Parameters: $1 began after (text), $2 and id after, $3 last seen before, $4 most rows.
-- Result: id, account_id, customer_id, status, at (its beginning, text), began (ms), entitled and
-- blocked (of its account), entitled_by (subscription id). Cost: an index range, a probe each.
SELECT s.id, s.account_id, s.customer_id, s.status, s.started_at::text AS at,
       s.started_at AS began_ms, e.state AS entitled, e.blocked, e.subscription_id AS entitled_by
FROM subscriptions s
LEFT JOIN entitlements e ON e.account_id = s.account_id
WHERE s.ended_at IS NULL AND s.plan_id IS NOT NULL
  AND (s.started_at, s.id) > ($1::timestamptz, $2) AND s.changed_at < $3::timestamptz
  AND s.status IN ('active', 'trialing', 'past_due')
ORDER BY s.started_at, s.id
LIMIT $4
