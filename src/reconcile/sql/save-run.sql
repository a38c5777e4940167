-- Notes how far a run has come, and goes on holding it; $9 true lets go of it.
-- Parameters: $1 lease, $2 its end, $3 number of the check, $4 cursor, $5 seen, $6 found, $7 fixed,
-- $8 finished at (null = not yet), $9 whether to let go, $10 name of the check, $11 failures.
-- Result: one row; none = the lease is lost. Cost: one row.
UPDATE reconcile_runs
SET lease = CASE WHEN $9::boolean THEN NULL ELSE lease END, lease_until = $2, check_no = $3,
    cursor = $4, seen = $5, found = $6, fixed = $7, finished_at = $8, check_name = $10,
    failures = $11
WHERE name = 'reconcile' AND lease = $1
RETURNING id
