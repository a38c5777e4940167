-- Begins a run, unless one is under way or the last one has this id.
-- Parameters: $1 id, $2 options JSON, $3 lease, $4 its end, $5 time. Result: the run, or no row.
-- Cost: one row.
INSERT INTO reconcile_runs AS r (name, id, options, check_no, seen, found, fixed, lease,
                                 lease_until, started_at, nightly_at)
VALUES ('reconcile', $1, $2, 0, 0, 0, 0, $3, $4, $5,
        CASE WHEN $2::jsonb ->> 'kind' = 'nightly' THEN $5::timestamptz END)
ON CONFLICT (name) DO UPDATE
SET id = excluded.id, options = excluded.options, check_no = 0, check_name = NULL, cursor = NULL,
    failures = 0, seen = 0, found = 0, fixed = 0, lease = excluded.lease,
    lease_until = excluded.lease_until, started_at = excluded.started_at, finished_at = NULL,
    nightly_at = coalesce(excluded.nightly_at, r.nightly_at)
WHERE r.finished_at IS NOT NULL AND r.id <> excluded.id
RETURNING *
