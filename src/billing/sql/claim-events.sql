-- Takes events whose time has come, each with a lease; what others took is passed over. What Stripe
-- delivered goes before what was fetched or set to work again by hand, however much that is.
-- Parameters: $1 now, $2 most rows, $3 lease, $4 end of the lease.
-- Result: one row an event. Cost: a partial index range, one row each.
UPDATE stripe_events e
SET lease = $3, due_at = $4, attempts = e.attempts + 1
FROM (SELECT id FROM stripe_events
      WHERE state = 'pending' AND due_at <= $1::timestamptz
      ORDER BY by_hand, due_at
      LIMIT $2
      FOR UPDATE SKIP LOCKED) c
WHERE e.id = c.id
RETURNING e.id, e.type, e.object_id, e.stripe_account, e.payload, e.attempts, e.occurred_at,
          e.received_at, e.lease, e.by_hand
