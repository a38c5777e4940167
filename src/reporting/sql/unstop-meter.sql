-- A meter takes events again: its lanes are due. Parameters: $1 event name, $2 now.
-- Result: none. Cost: the lanes of that meter.
WITH gone AS (DELETE FROM meter_stops WHERE kind = 'meter' AND name = $1 RETURNING name)
UPDATE meter_lanes l SET due_at = $2::timestamptz
FROM gone
WHERE l.event_name = gone.name AND l.due_at IS NOT NULL AND l.lease IS NULL
