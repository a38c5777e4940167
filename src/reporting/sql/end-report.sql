-- What became of a report. Parameters: $1 report id, $2 state, $3 note or null, $4 sent at or null,
-- $5 the last try that may have been taken, or null = the last one, $6 whether that one was taken
-- and none before it. Result: a row if it was still to be sent. Cost: one row.
UPDATE meter_reports
SET state = $2, note = $3, sent_at = $4, last_tried_at = coalesce($5::timestamptz, last_tried_at),
    first_tried_at = CASE WHEN $6 THEN last_tried_at ELSE first_tried_at END
WHERE id = $1 AND state = 'ready'
RETURNING id
