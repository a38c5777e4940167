-- Marks an event done, in the transaction of its effect, where the lease still stands.
-- Parameters: $1 id, $2 lease, $3 state (done or ignored), $4 outcome, $5 now.
-- Result: no row where the lease is lost. Cost: one row.
UPDATE stripe_events
SET state = $3, outcome = $4, done_at = $5, lease = NULL
WHERE id = $1 AND lease = $2
RETURNING id
