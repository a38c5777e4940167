-- Sends what was given up again.
-- Parameters: $1 id, $2 time. Result: the row as it is then; none where there is no dead one.
-- Cost: one row.
UPDATE notifications
SET state = 'pending', attempts = 0, due_at = $2
WHERE id = $1 AND state = 'dead'
RETURNING id, kind, occasion, channel, audience, account_id, state, attempts, note, due_at,
          created_at, done_at
