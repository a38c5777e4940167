-- What was told in a time, by customer and hour, and what our books have of those hours in all.
-- Parameters: $1 event name, $2 told from, $3 to, $4 most rows.
-- Result: customer_id, hour_at, known (of the hour), last_at (last try of the hour), told (of that
-- time), ids and values of it. Cost: the reports of that meter that Stripe took then, by their age.
SELECT g.customer_id, g.hour_at, g.told, g.ids, g.identifiers, g.vals,
       k.known, k.last_at
FROM (
  SELECT customer_id, date_bin('1 hour', at, '2000-01-01Z') AS hour_at,
         sum(value)::bigint AS told, array_agg(id::text ORDER BY seq) AS ids,
         array_agg(identifier ORDER BY seq) AS identifiers,
         array_agg(value::text ORDER BY seq) AS vals
  FROM meter_reports
  WHERE event_name = $1 AND state = 'sent'
    AND sent_at >= $2::timestamptz AND sent_at <= $3::timestamptz
    AND at > $2::timestamptz - interval '36 days'
  GROUP BY 1, 2
  ORDER BY 1, 2
  LIMIT $4) g
CROSS JOIN LATERAL (
  SELECT coalesce(sum(r.value) FILTER (WHERE r.state = 'sent'), 0)::bigint AS known,
         max(r.last_tried_at) AS last_at
  FROM meter_reports r
  WHERE r.event_name = $1 AND r.customer_id = g.customer_id
    AND r.at >= g.hour_at AND r.at < g.hour_at + interval '1 hour') k
