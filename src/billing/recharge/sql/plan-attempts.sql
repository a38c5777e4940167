-- Writes the attempts of accounts that this transaction has locked, where they are still wanted:
-- a statement of its own, so that it sees what was committed before the lock was had.
-- Parameters: $1 now, $2 account ids, $3 ids of their attempts, $4 month, $5 packs as JSON
-- (id, price, micros, expires_days). Result: account_id, is_capped (true = none was written: the
-- month's count is used up). Cost: a few look-ups an account.
WITH low AS (
  SELECT r.account_id, n.id, r.return_url, p.pack_id, p.price, p.micros, p.expires_days,
         r.monthly_count IS NOT NULL AND r.monthly_count <= (
           SELECT count(*) FROM recharge_attempts t
           WHERE t.account_id = r.account_id AND t.month = $4
             AND t.state NOT IN ('failed', 'canceled')) AS is_capped
  FROM unnest($2::text[], $3::text[]) AS n (account_id, id)
  JOIN recharges r ON r.account_id = n.account_id
  JOIN accounts a ON a.id = r.account_id
  JOIN json_to_recordset($5::json) AS p (pack_id text, price text, micros bigint,
                                         expires_days integer) ON p.pack_id = r.pack_id
  WHERE r.state = 'on' AND r.due_at <= $1::timestamptz AND a.status = 'active'
    AND a.posted_micros < r.threshold_micros
    AND NOT EXISTS (SELECT FROM recharge_attempts t WHERE t.account_id = r.account_id
                    AND t.state IN ('planned', 'called', 'open'))
    AND NOT EXISTS (SELECT FROM stripe_disputes d WHERE d.account_id = r.account_id
                    AND d.status LIKE ANY (ARRAY['%needs_response', '%under_review']))
    AND NOT EXISTS (SELECT FROM entitlements e WHERE e.account_id = r.account_id
                    AND e.blocked IS NOT NULL)
), written AS (
  INSERT INTO recharge_attempts (id, account_id, month, pack_id, stripe_price, micros,
                                 expires_days, return_url, state, idempotency_key, due_at,
                                 planned_at, changed_at)
  SELECT id, account_id, $4, pack_id, price, micros, expires_days, return_url, 'planned',
         'farebox-' || id, $1::timestamptz, $1::timestamptz, $1::timestamptz
  FROM low WHERE NOT is_capped
  ON CONFLICT (account_id) WHERE state IN ('planned', 'called', 'open') DO NOTHING
)
SELECT account_id, is_capped FROM low
