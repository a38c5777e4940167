-- Takes notifications whose time has come, each with a lease; what others took is passed over.
-- Parameters: $1 now, $2 most rows, $3 lease, $4 end of the lease, $5 channels, $6 those (true) or
-- all others (false). Result: one row a notification. Cost: a partial index range, one row each.
UPDATE notifications n
SET lease = $3, due_at = $4, attempts = n.attempts + 1
FROM (SELECT id FROM notifications
      WHERE state = 'pending' AND due_at <= $1::timestamptz
        AND (channel = ANY ($5::text[])) = $6
      ORDER BY due_at
      LIMIT $2
      FOR UPDATE SKIP LOCKED) c
WHERE n.id = c.id
RETURNING n.id, n.kind, n.channel, n.audience, n.account_id, n.data, n.attempts, n.created_at,
          n.lease, (SELECT email FROM accounts a WHERE a.id = n.account_id) AS email
