-- A first try that is known to have done nothing leaves no doubt.
-- Parameters: $1 report id, $2 note. Result: none. Cost: one row.
UPDATE meter_reports SET first_tried_at = NULL, note = $2
WHERE id = $1 AND state = 'ready'
