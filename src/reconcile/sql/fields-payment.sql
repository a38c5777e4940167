-- A sale, and the payment behind it as it was last seen: the account's.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: reads the sales.
SELECT s.key AS subject, s.account_id, s.payment_id AS one, NULL AS other
FROM stripe_sales s
WHERE s.account_id > $1 AND s.account_id <= $2 AND s.created_at < $3::timestamptz
  AND NOT EXISTS (
    SELECT FROM stripe_payments p WHERE p.id = s.payment_id AND p.account_id = s.account_id)
ORDER BY s.key
LIMIT 1000
