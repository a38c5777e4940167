-- Sales and their lots, which say the same thing.
-- Parameters: $1 made before, $2 most rows. Result: those that differ; null = there is none.
-- Cost: reads all sales and the lots of sales.
SELECT coalesce(s.key, l.reference_id) AS key, coalesce(s.account_id, l.account_id) AS account_id,
       s.micros AS sale_micros, l.granted_micros AS lot_micros, s.payment_id
FROM stripe_sales s
FULL JOIN (SELECT * FROM lots WHERE reference_type = 'sale') l
  ON l.account_id = s.account_id AND l.reference_id = s.key
WHERE coalesce(s.created_at, l.created_at) < $1::timestamptz
  AND (s.micros IS DISTINCT FROM l.granted_micros)
ORDER BY 1
LIMIT $2
