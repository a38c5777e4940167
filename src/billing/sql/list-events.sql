-- A page of events, newest first, without payloads.
-- Parameters: $1 state (null = any), $2 type (null = any), $3 seq to start below (null = newest),
-- $4 most rows. Result: one row an event. Cost: an index range; with a rare type a longer one.
SELECT id, seq, type, object_id, stripe_account, api_version, is_thin, source, state, outcome,
       deliveries, attempts, due_at, occurred_at, received_at, done_at
FROM stripe_events
WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR type = $2)
  AND seq < coalesce($3::bigint, 9223372036854775807)
ORDER BY seq DESC
LIMIT $4
