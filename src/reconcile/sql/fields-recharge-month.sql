-- The month that a recharge counts in, and when it was planned.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT r.id AS subject, r.account_id, r.month AS one, m.month AS other
FROM recharge_attempts r
CROSS JOIN LATERAL (SELECT to_char(r.planned_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month) m
WHERE r.account_id > $1 AND r.account_id <= $2 AND r.changed_at < $3::timestamptz
  AND r.month <> m.month
ORDER BY r.id
LIMIT 1000
