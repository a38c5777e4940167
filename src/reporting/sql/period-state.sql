-- What of a period Stripe was told, and what it was not told in time. Parameters: $1 account id,
-- $2 event name, $3 start, $4 end, $5 names of the meters that go there, $6 when it was final.
-- Result: one row: value (whole units it has), unsent (reports), unsent_value, unsent_micros, open
-- (receipts not sealed). Cost: two index ranges.
SELECT coalesce(sum(value) FILTER (WHERE state = 'sent'), 0)::bigint AS value,
       count(*) FILTER (WHERE is_unsent) AS unsent,
       coalesce(sum(value) FILTER (WHERE is_unsent), 0)::bigint AS unsent_value,
       coalesce(sum(overage_micros) FILTER (WHERE is_unsent), 0)::bigint AS unsent_micros,
       (SELECT count(*) FROM meter_outbox
        WHERE account_id = $1 AND sealing_id IS NULL AND meter = ANY ($5::text[])
          AND used_at >= $3::timestamptz AND used_at < $4::timestamptz) AS open
FROM (
  SELECT value, overage_micros, state,
         state IN ('ready', 'unclear', 'refused', 'late')
         OR (state = 'sent' AND billed_by IS NULL
             AND last_tried_at >= $6::timestamptz + interval '1 second') AS is_unsent
  FROM meter_reports
  WHERE account_id = $1 AND event_name = $2 AND at >= $3::timestamptz AND at < $4::timestamptz
) r
