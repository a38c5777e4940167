-- Accounts that want a recharge now, locked against whoever else would plan one.
-- Parameters: $1 now, $2 account ids (null = all), $3 most rows, $4 packs that are
-- for sale. Result: account_id.
-- Cost: all that are on and due, or those named, each with its account.
SELECT r.account_id
FROM recharges r JOIN accounts a ON a.id = r.account_id
WHERE r.state = 'on' AND r.due_at <= $1::timestamptz
  AND ($2::text[] IS NULL OR r.account_id = ANY ($2::text[]))
  AND a.status = 'active' AND a.posted_micros < r.threshold_micros
  AND r.pack_id = ANY ($4::text[])
  AND NOT EXISTS (SELECT FROM recharge_attempts t WHERE t.account_id = r.account_id
                  AND t.state IN ('planned', 'called', 'open'))
  AND NOT EXISTS (SELECT FROM stripe_disputes d WHERE d.account_id = r.account_id
                  AND d.status LIKE ANY (ARRAY['%needs_response', '%under_review']))
  AND NOT EXISTS (SELECT FROM entitlements e WHERE e.account_id = r.account_id
                  AND e.blocked IS NOT NULL)
ORDER BY r.account_id
LIMIT $3
FOR UPDATE OF r SKIP LOCKED
