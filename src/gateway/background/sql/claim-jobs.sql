-- Takes responses whose next poll is due, each with a lease; what others took is passed over.
-- Parameters: $1 now, $2 most rows, $3 end of the lease.
-- Result: one row a job. Cost: an index range, one row each.
UPDATE background_jobs b
SET due_at = $3::timestamptz
FROM (SELECT hold_id FROM background_jobs
      WHERE due_at <= $1::timestamptz
      ORDER BY due_at
      LIMIT $2
      FOR UPDATE SKIP LOCKED) c
WHERE b.hold_id = c.hold_id
RETURNING b.hold_id, b.account_id, b.response_id, b.micros, b.day, b.reserved_at, b.draft, b.job,
          b.created_at
