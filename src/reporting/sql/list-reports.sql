-- Reports, newest first. Parameters: $1 state or null, $2 account id or null, $3 event name or
-- null, $4 before this seq or null, $5 most rows. Result: one row a report. Cost: an index range.
SELECT id, seq, identifier, account_id, customer_id, event_name, dimensions, kind, value,
       overage_micros, at, sealed_at, state, note, tries, sent_at, billed_by
FROM meter_reports
WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR account_id = $2)
  AND ($3::text IS NULL OR event_name = $3) AND ($4::bigint IS NULL OR seq < $4)
ORDER BY seq DESC
LIMIT $5
