-- Customers and meters with reports in a time, in order.
-- Parameters: $1 from, $2 to, $3 account id or null, $4 event name or null, $5 after this customer
-- and $6 event name, $7 most rows. Result: customer_id, event_name, account_id, first_at.
-- Cost: the reports of that time.
SELECT customer_id, event_name, min(account_id) AS account_id,
       min(at) AS first_at
FROM meter_reports
WHERE at >= $1::timestamptz AND at < $2::timestamptz
  AND ($3::text IS NULL OR account_id = $3) AND ($4::text IS NULL OR event_name = $4)
  AND (customer_id, event_name) > ($5, $6)
GROUP BY customer_id, event_name
ORDER BY customer_id, event_name
LIMIT $7
