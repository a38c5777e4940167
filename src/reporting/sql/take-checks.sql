-- Times to be compared now. Parameters: $1 now, $2 put off until, $3 most rows.
-- Result: id, event_name, from_at, to_at; they come again unless they are dropped. Cost: an index
-- range.
UPDATE meter_checks c SET due_at = $2
FROM (SELECT id FROM meter_checks WHERE due_at <= $1::timestamptz
      ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) d
WHERE c.id = d.id
RETURNING c.id, c.event_name, c.from_at, c.to_at
