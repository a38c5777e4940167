-- Whose a purchase is that a key comes with: by its claim, and by its sale.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range, a probe each.
SELECT c.id::text AS subject, c.account_id, c.account_id AS one, s.account_id AS other
FROM key_claims c
JOIN stripe_sales s ON s.key = c.purchase
WHERE c.account_id > $1 AND c.account_id <= $2 AND c.created_at < $3::timestamptz
  AND s.account_id <> c.account_id
ORDER BY c.id
LIMIT 1000
