-- Whose a checkout is and what it grants: as it was planned, and as it was sold.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT c.id AS subject, c.account_id,
       concat_ws(' ', c.account_id, c.item_id, c.micros, c.payment_intent) AS one,
       concat_ws(' ', s.account_id, s.item_id, s.micros, s.payment_id) AS other
FROM checkout_sessions c
JOIN stripe_sales s ON s.key = 'checkout:' || c.session_id
WHERE c.account_id > $1 AND c.account_id <= $2 AND c.changed_at < $3::timestamptz
  AND c.item_kind = 'pack'
  AND (s.account_id <> c.account_id OR s.micros <> c.micros OR s.item_id <> c.item_id
       OR s.item_kind <> c.item_kind
       OR s.payment_id <> coalesce(c.payment_intent, s.payment_id))
ORDER BY c.id
LIMIT 1000
