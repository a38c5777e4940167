-- The latest findings about an account, its payments and its subscriptions.
-- $1 account id, $2 most rows. Result: newest first. Cost: a scan of findings, which are few.
SELECT id, kind, severity, subject, state, last_seen
FROM findings
WHERE evidence ->> 'account_id' = $1 OR subject = $1
   OR subject IN (SELECT id FROM stripe_payments WHERE account_id = $1)
   OR subject IN (SELECT id FROM subscriptions WHERE account_id = $1)
ORDER BY last_seen DESC
LIMIT $2
