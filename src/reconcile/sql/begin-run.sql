-- Begins a run, unless somebody is at one.
-- Parameters: $1 id, $2 options JSON, $3 lease, $4 its end, $5 time. Result: the run, or no row.
-- Cost: one row.
INSERT INTO reconcile_runs AS r (name, id, options, check_no, seen, found, fixed, lease,
                                 lease_until, started_at)
VALUES ('reconcile', $1, $2, 0, 0, 0, 0, $3, $4, $5)
ON CONFLICT (name) DO UPDATE
SET id = excluded.id, options = excluded.options, check_no = 0, cursor = NULL, seen = 0, found = 0,
    fixed = 0, lease = excluded.lease, lease_until = excluded.lease_until,
    started_at = excluded.started_at, finished_at = NULL
WHERE r.lease IS NULL OR r.lease_until < excluded.started_at
RETURNING *
