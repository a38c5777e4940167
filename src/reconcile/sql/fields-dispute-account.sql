-- Whose a dispute is: by itself, and by its payment.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range, a probe each.
SELECT d.id AS subject, d.account_id, d.account_id AS one, p.account_id AS other
FROM stripe_disputes d
JOIN stripe_payments p ON p.id = d.payment_id
WHERE d.account_id > $1 AND d.account_id <= $2 AND d.changed_at < $3::timestamptz
  AND p.account_id <> d.account_id
ORDER BY d.id
LIMIT 1000
