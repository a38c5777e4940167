-- A try that is known to have done nothing: what was known of the report before it stands.
-- Parameters: $1 report id, $2 note, $3 in doubt since or null, $4 last try before it or null,
-- $5 why it was refused, or null = it was not. Result: none. Cost: one row.
UPDATE meter_reports
SET first_tried_at = $3, last_tried_at = $4, note = $2, refusal = coalesce($5, refusal)
WHERE id = $1 AND state = 'ready'
