-- What Stripe should have of a customer for an hour, by our books.
-- Parameters: $1 customer, $2 event name, $3 start of the hour, $4 its end.
-- Result: one row, value. Cost: an index range.
SELECT coalesce(sum(value), 0)::bigint AS value
FROM meter_reports
WHERE event_name = $2 AND at >= $3::timestamptz AND at < $4::timestamptz AND customer_id = $1
  AND state = 'sent'
