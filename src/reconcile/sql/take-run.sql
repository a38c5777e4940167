-- Takes up the run that is under way, unless somebody is at it.
-- Parameters: $1 lease, $2 its end, $3 time. Result: the run, or no row. Cost: one row.
UPDATE reconcile_runs
SET lease = $1, lease_until = $2
WHERE name = 'reconcile' AND finished_at IS NULL
  AND (lease IS NULL OR lease_until < $3::timestamptz)
RETURNING *
