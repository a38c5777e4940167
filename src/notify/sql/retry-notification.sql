-- Sends what was given up again, unless the same request did so before.
-- Parameters: $1 id, $2 time, $3 id of the request in audit_log or null. Result: the row as it is
-- then; none where there is no dead one. Cost: one row.
UPDATE notifications
SET state = 'pending', attempts = 0, due_at = $2
WHERE id = $1 AND state = 'dead' AND NOT EXISTS (SELECT 1 FROM audit_log WHERE id = $3::uuid)
RETURNING id, kind, occasion, channel, audience, account_id, state, attempts, note, due_at,
          created_at, done_at
