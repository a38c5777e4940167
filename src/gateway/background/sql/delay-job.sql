-- Sets the next poll of a response. Parameters: $1 hold, $2 when. Result: none. Cost: one row.
UPDATE background_jobs SET due_at = $2::timestamptz WHERE hold_id = $1
