-- What disputes withdrew from a payment: with the payment, and with each of them.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT p.id AS subject, p.account_id, p.withdrawn_amount::text AS one,
       coalesce(d.withdrawn, 0)::text AS other
FROM stripe_payments p
LEFT JOIN (
  SELECT payment_id, sum(withdrawn)::bigint AS withdrawn FROM stripe_disputes GROUP BY payment_id
) d ON d.payment_id = p.id
WHERE p.account_id > $1 AND p.account_id <= $2 AND p.changed_at < $3::timestamptz
  AND p.withdrawn_amount <> coalesce(d.withdrawn, 0)
ORDER BY p.id
LIMIT 1000
