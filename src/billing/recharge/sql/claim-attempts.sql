-- Takes attempts whose time has come, each with a lease; what others took is passed over.
-- Parameters: $1 now, $2 most rows, $3 lease, $4 end of the lease. Result: one row an attempt.
-- Cost: a partial index range, one row each.
UPDATE recharge_attempts t
SET lease = $3, due_at = $4, tries = t.tries + 1
FROM (SELECT id FROM recharge_attempts
      WHERE (state IN ('planned', 'called', 'open') OR link = 'wanted')
        AND due_at <= $1::timestamptz
      ORDER BY due_at
      LIMIT $2
      FOR UPDATE SKIP LOCKED) c
WHERE t.id = c.id
RETURNING t.*
