-- What was sealed for a customer and meter, by the hour, and what of it Stripe took.
-- Parameters: $1 customer, $2 event name, $3 from, $4 to. Result: hour_at, owed, accepted.
-- Cost: an index range.
SELECT date_bin('1 hour', at, '2000-01-01Z') AS hour_at, coalesce(sum(value), 0)::bigint AS owed,
       coalesce(sum(value) FILTER (WHERE state = 'sent'), 0)::bigint AS accepted
FROM meter_reports
WHERE event_name = $2 AND at >= $3::timestamptz AND at < $4::timestamptz AND customer_id = $1
  AND state <> 'replaced'
GROUP BY 1
HAVING bool_or(state <> 'nothing')
