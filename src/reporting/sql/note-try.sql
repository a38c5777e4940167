-- Notes that a report is about to be sent, so that a crash leaves it in doubt and not forgotten.
-- Parameters: $1 report id, $2 lease, $3 now, $4 forget earlier tries: they are known to have done
-- nothing. Result: a row; none = the lease is lost, send nothing. Cost: two index look-ups.
UPDATE meter_reports r
SET tries = r.tries + 1, last_tried_at = $3::timestamptz,
    first_tried_at = CASE WHEN $4 THEN $3::timestamptz
                          ELSE coalesce(r.first_tried_at, $3::timestamptz) END
FROM meter_lanes l
WHERE r.id = $1 AND r.state = 'ready' AND l.lease = $2
  AND l.customer_id = r.customer_id AND l.event_name = r.event_name
RETURNING r.tries
