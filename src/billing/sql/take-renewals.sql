-- Takes subscriptions whose paid period has passed and of whose next one no news came.
-- Parameters: $1 now, $2 given up before, $3 read soon again after, $4 most rows, $5 soon, $6 later
-- (when the next read of one may be). Result: id.
-- Cost: a range of a partial index, one row each. What another process takes is passed over.
UPDATE subscriptions s
SET reread_at = CASE WHEN s.current_period_end > $3::timestamptz THEN $5::timestamptz
                     ELSE $6::timestamptz END
FROM (SELECT id FROM subscriptions
      WHERE ended_at IS NULL AND current_period_end <= $1::timestamptz
        AND current_period_end > $2::timestamptz
        AND status NOT IN ('canceled', 'incomplete', 'incomplete_expired', 'paused')
        AND (reread_at IS NULL OR reread_at <= $1::timestamptz)
      ORDER BY current_period_end
      LIMIT $4
      FOR UPDATE SKIP LOCKED) c
WHERE s.id = c.id
RETURNING s.id
