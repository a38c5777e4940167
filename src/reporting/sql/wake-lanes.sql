-- Tells who sends that there is something to send; whoever holds a lane keeps it.
-- Parameters: $1 customers and $2 event names (as many), $3 now. Result: none. Cost: one row each.
INSERT INTO meter_lanes AS l (customer_id, event_name, due_at)
SELECT DISTINCT n.customer_id, n.event_name, $3::timestamptz
FROM unnest($1::text[], $2::text[]) AS n (customer_id, event_name)
ORDER BY 1, 2
ON CONFLICT (customer_id, event_name) DO UPDATE
SET is_woken = true,
    due_at = CASE WHEN l.lease IS NULL THEN least(l.due_at, excluded.due_at) ELSE l.due_at END
