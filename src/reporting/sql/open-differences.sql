-- Hours that differed from Stripe's summaries when they were last compared, and are to be compared
-- again. Parameters: $1 last seen before this, $2 most rows.
-- Result: one row an hour: customer_id, event_name, hour_at. Cost: a scan of the findings.
SELECT evidence->>'customer_id' AS customer_id, evidence->>'event_name' AS event_name,
       (evidence->>'hour')::timestamptz AS hour_at
FROM findings
WHERE kind = 'meter_difference' AND state = 'open' AND last_seen < $1::timestamptz
  AND jsonb_array_length(evidence->'marked') = 0
ORDER BY last_seen
LIMIT $2
