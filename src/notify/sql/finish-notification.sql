-- Notes the end of a try: sent, skipped, dead, or pending again. Links that open something are
-- taken out of what was sent.
-- Parameters: $1 id, $2 lease, $3 state, $4 note or null, $5 next try, $6 time it was done or null.
-- Result: no row where the lease is lost. Cost: one row.
UPDATE notifications
SET state = $3, note = $4, due_at = $5, done_at = $6, lease = NULL,
    data = CASE WHEN $6::timestamptz IS NULL THEN data ELSE data - 'url' END
WHERE id = $1 AND lease = $2
RETURNING id
