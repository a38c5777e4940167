-- One event without its payload.
-- Parameters: $1 id. Result: no row or one. Cost: one index look-up.
SELECT id, seq, type, object_id, stripe_account, api_version, is_thin, source, state, outcome,
       deliveries, attempts, due_at, occurred_at, received_at, done_at
FROM stripe_events
WHERE id = $1
