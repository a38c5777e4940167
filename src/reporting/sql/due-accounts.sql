-- Accounts with usage to be sealed: of an hour that is over, or of a period that is.
-- Parameters: $1 usage before this is due, $2 now, $3 most accounts, $4 after this account id.
-- Result: account_id, and before: usage of it before that is due.
-- Cost: three index probes for each account with open usage.
WITH RECURSIVE a AS (
  (SELECT account_id, used_at FROM meter_outbox
   WHERE sealing_id IS NULL AND account_id > $4
   ORDER BY account_id, used_at LIMIT 1)
  UNION ALL
  SELECT n.account_id, n.used_at
  FROM a CROSS JOIN LATERAL (
    SELECT o.account_id, o.used_at FROM meter_outbox o
    WHERE o.sealing_id IS NULL AND o.account_id > a.account_id
    ORDER BY o.account_id, o.used_at LIMIT 1) n
)
SELECT a.account_id, d.before
FROM a
JOIN accounts c ON c.id = a.account_id AND c.stripe_customer_id IS NOT NULL
CROSS JOIN LATERAL (
  SELECT greatest($1::timestamptz, max(p.at)) AS before
  FROM (SELECT end_at AS at FROM meter_periods WHERE account_id = a.account_id
        UNION ALL SELECT current_period_start FROM subscriptions WHERE account_id = a.account_id
        UNION ALL SELECT current_period_end FROM subscriptions WHERE account_id = a.account_id) p
  WHERE p.at <= $2::timestamptz) d
WHERE a.used_at < d.before
LIMIT $3
