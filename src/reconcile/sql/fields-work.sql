-- What work elsewhere was settled for: with its hold, and on its receipt.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: the holds of those accounts.
SELECT w.id::text AS subject, w.account_id, w.settled_micros::text AS one, u.micros::text AS other
FROM work_holds w
LEFT JOIN LATERAL (
  SELECT micros FROM usage WHERE hold_id = w.id ORDER BY rev DESC LIMIT 1
) u ON true
WHERE w.account_id > $1 AND w.account_id <= $2 AND w.changed_at < $3::timestamptz
  AND w.state = 'settled' AND w.settled_micros IS DISTINCT FROM u.micros
ORDER BY w.id
LIMIT 1000
