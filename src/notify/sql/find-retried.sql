-- What a request sent again, as it is now.
-- Parameters: $1 id, $2 id of the request in audit_log. Result: the row, or none where the request
-- did nothing. Cost: two primary keys.
SELECT id, kind, occasion, channel, audience, account_id, state, attempts, note, due_at,
       created_at, done_at
FROM notifications
WHERE id = $1 AND EXISTS (SELECT 1 FROM audit_log WHERE id = $2)
