-- Payments that granted something, by id.
-- Parameters: $1 id to start after, $2 most rows, $3 paid after, $4 paid before.
-- Result: id, account_id, paid_at, granted micros. Cost: reads the payments of that time.
SELECT p.id, p.account_id, p.paid_at,
       (SELECT coalesce(sum(s.micros), 0)::bigint FROM stripe_sales s
        WHERE s.payment_id = p.id) AS micros
FROM stripe_payments p
WHERE p.id > $1 AND p.paid_at >= $3::timestamptz AND p.paid_at < $4::timestamptz
ORDER BY p.id
LIMIT $2
