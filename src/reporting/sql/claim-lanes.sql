-- Takes lanes with something to send, each with a lease. Those of a stopped meter wait.
-- Parameters: $1 now, $2 most lanes, $3 lease, $4 end of the lease.
-- Result: customer_id, event_name, lease, tries (this one included). Cost: a partial index range.
UPDATE meter_lanes l
SET lease = $3, due_at = $4, is_woken = false, tries = l.tries + 1
FROM (SELECT customer_id, event_name FROM meter_lanes n
      WHERE due_at <= $1::timestamptz
        AND NOT EXISTS (SELECT FROM meter_stops s
                        WHERE s.kind = 'meter' AND s.name = n.event_name)
      ORDER BY due_at
      LIMIT $2
      FOR UPDATE SKIP LOCKED) c
WHERE l.customer_id = c.customer_id AND l.event_name = c.event_name
RETURNING l.customer_id, l.event_name, l.lease, l.tries
