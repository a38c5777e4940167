-- Forgets a response whose charge is posted. Parameters: $1 hold. Result: none. Cost: one row.
DELETE FROM background_jobs WHERE hold_id = $1
