-- The plan that decides what is metered: with the account, and resolved.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT a.id AS subject, a.id AS account_id, a.meter_plan AS one, e.plan_id AS other
FROM accounts a
LEFT JOIN entitlements e ON e.account_id = a.id
WHERE a.id > $1 AND a.id <= $2 AND a.changed_at < $3::timestamptz
  AND a.meter_plan IS DISTINCT FROM e.plan_id
