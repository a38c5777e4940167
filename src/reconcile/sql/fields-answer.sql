-- A charged answer that is kept, and the receipt of its hold: the account's.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: the answers of a day.
SELECT i.account_id || ' ' || i.key AS subject, i.account_id, i.hold_id::text AS one,
       NULL AS other
FROM idempotent_requests i
WHERE i.account_id > $1 AND i.account_id <= $2 AND i.lease_until < $3::timestamptz
  AND i.state = 'charged' AND NOT EXISTS (
    SELECT FROM usage u WHERE u.hold_id = i.hold_id AND u.account_id = i.account_id)
ORDER BY 1
LIMIT 1000
