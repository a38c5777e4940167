-- Sets an event to work again, with all its tries. One that is being worked on stays as it is.
-- Parameters: $1 id, $2 now. Result: no row or the event. Cost: one row.
UPDATE stripe_events
SET state = 'pending', by_hand = true, attempts = 0, due_at = $2, done_at = NULL, outcome = NULL
WHERE id = $1 AND lease IS NULL
RETURNING id, seq, type, object_id, stripe_account, api_version, is_thin, source, state, outcome,
          deliveries, attempts, due_at, occurred_at, received_at, done_at
