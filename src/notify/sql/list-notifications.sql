-- A page of notifications, newest first. What they say is left out: it may hold links.
-- Parameters: $1 state or null, $2 id to start below or null, $3 most rows. Result: rows.
-- Cost: a primary key range.
SELECT id, kind, occasion, channel, audience, account_id, state, attempts, note, due_at, created_at,
       done_at
FROM notifications
WHERE ($1::text IS NULL OR state = $1) AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC
LIMIT $3
