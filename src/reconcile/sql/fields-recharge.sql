-- A recharge that succeeded, and the sale of its payment.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT r.id AS subject, r.account_id, concat_ws(' ', r.account_id, r.pack_id, r.micros) AS one,
       concat_ws(' ', s.account_id, s.item_id, s.micros) AS other
FROM recharge_attempts r
LEFT JOIN stripe_sales s ON s.payment_id = r.payment_intent
WHERE r.account_id > $1 AND r.account_id <= $2 AND r.changed_at < $3::timestamptz
  AND r.state = 'succeeded'
  AND (s.account_id IS DISTINCT FROM r.account_id OR s.micros IS DISTINCT FROM r.micros
       OR s.item_id IS DISTINCT FROM r.pack_id)
ORDER BY r.id
LIMIT 1000
