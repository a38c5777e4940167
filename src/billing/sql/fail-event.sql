-- Notes a failed try: again at $5, or dead.
-- Parameters: $1 id, $2 lease, $3 state (pending or dead), $4 what went wrong, $5 next try.
-- Result: no row where the lease is lost. Cost: one row.
UPDATE stripe_events
SET state = $3, outcome = $4, due_at = $5, lease = NULL
WHERE id = $1 AND lease = $2
RETURNING id
