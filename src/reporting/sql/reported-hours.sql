-- What was sealed for a customer and meter, by the hour, and what of it Stripe took.
-- Parameters: $1 customer, $2 event name, $3 from, $4 to. Result: hour_at, owed, accepted,
-- overage_micros, touched_at (last sent or tried), is_tried (of unknown fate).
-- Cost: an index range.
SELECT date_bin('1 hour', at, '2000-01-01Z') AS hour_at, coalesce(sum(value), 0)::bigint AS owed,
       coalesce(sum(value) FILTER (WHERE state = 'sent'), 0)::bigint AS accepted,
       coalesce(sum(overage_micros), 0)::bigint AS overage_micros,
       max(greatest(sent_at, last_tried_at)) AS touched_at,
       bool_or(state = 'ready' AND last_tried_at IS NOT NULL) AS is_tried
FROM meter_reports
WHERE event_name = $2 AND at >= $3::timestamptz AND at < $4::timestamptz AND customer_id = $1
  AND state <> 'replaced'
GROUP BY 1
HAVING bool_or(state <> 'nothing')
