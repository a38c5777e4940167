-- Makes a response due for its poll at once, where it is still under way.
-- Parameters: $1 account, $2 response, $3 now. Result: a row where it is. Cost: an index probe.
UPDATE background_jobs SET due_at = LEAST(due_at, $3::timestamptz)
WHERE account_id = $1 AND response_id = $2
RETURNING hold_id
