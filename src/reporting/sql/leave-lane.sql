-- Gives a lane back. Where something was sealed meanwhile it is due at once.
-- Parameters: $1 customer, $2 event name, $3 lease, $4 due again at or null = nothing to send,
-- $5 whether it went well, $6 now. Result: none. Cost: one row.
UPDATE meter_lanes
SET lease = NULL, is_woken = false, tries = CASE WHEN $5 THEN 0 ELSE tries END,
    due_at = CASE WHEN is_woken AND $5 THEN $6::timestamptz
                  WHEN is_woken THEN coalesce($4::timestamptz, $6::timestamptz)
                  ELSE $4::timestamptz END
WHERE customer_id = $1 AND event_name = $2 AND lease = $3
