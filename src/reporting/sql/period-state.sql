-- What of a period Stripe was told, and what it was not told in time. Parameters: $1 account id,
-- $2 event name, $3 start, $4 end, $5 names of the meters that go there, $6 when it was final,
-- $7 most names. Result: one row: value (whole units it has), unsent (reports), unsent_value,
-- unsent_micros, names (identifiers of those), in_doubt (of those: taken in time or not, nobody
-- knows), open (receipts not sealed), open_units, open_micros. Cost: two index ranges.
SELECT coalesce(sum(value) FILTER (WHERE state = 'sent'), 0)::bigint AS value,
       count(*) FILTER (WHERE is_unsent) AS unsent,
       coalesce(sum(value) FILTER (WHERE is_unsent), 0)::bigint AS unsent_value,
       coalesce(sum(overage_micros) FILTER (WHERE is_unsent), 0)::bigint AS unsent_micros,
       coalesce((array_agg(identifier ORDER BY seq) FILTER (WHERE is_unsent))[1:$7], '{}') AS names,
       coalesce((array_agg(identifier ORDER BY seq)
                 FILTER (WHERE is_unsent AND is_in_doubt))[1:$7], '{}') AS in_doubt,
       o.open, o.open_units, o.open_micros
FROM (
  SELECT count(*) AS open, trunc(coalesce(sum(quantity), 0) / 1000000)::text AS open_units,
         coalesce(sum(overage_micros), 0)::bigint AS open_micros
  FROM meter_outbox
  WHERE account_id = $1 AND sealing_id IS NULL AND meter = ANY ($5::text[])
    AND used_at >= $3::timestamptz AND used_at < $4::timestamptz
) o
LEFT JOIN (
  SELECT seq, identifier, value, overage_micros, state,
         state IN ('ready', 'unclear', 'refused', 'late')
         OR (state = 'sent' AND billed_by IS NULL
             AND last_tried_at >= $6::timestamptz + interval '1 second') AS is_unsent,
         state = 'sent' AND first_tried_at < $6::timestamptz + interval '1 second' AS is_in_doubt
  FROM meter_reports
  WHERE account_id = $1 AND event_name = $2 AND at >= $3::timestamptz AND at < $4::timestamptz
    AND successor IS NULL
) r ON true
GROUP BY o.open, o.open_units, o.open_micros
