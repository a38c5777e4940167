-- The overage that a plan lets through: with the account, for posting, and resolved.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT a.id AS subject, a.id AS account_id, a.plan_overage_limit_micros::text AS one,
       coalesce(e.overage_limit_micros, 0)::text AS other
FROM accounts a
LEFT JOIN entitlements e ON e.account_id = a.id
WHERE a.id > $1 AND a.id <= $2 AND a.changed_at < $3::timestamptz
  AND a.plan_overage_limit_micros <> coalesce(e.overage_limit_micros, 0)
