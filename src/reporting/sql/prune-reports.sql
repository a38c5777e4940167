-- Drops reports that nobody needs any more, of the next ones in the order of sealing: Stripe has
-- them or nothing was to be told, their overage is closed or told by another, and so is their
-- period, unless they are older than any. What waits for a person stays, and what a cancel names
-- as long as that does.
-- Parameters: $1 after this seq, $2 sealed and used before this, $3 older than any period,
-- $4 most rows looked at. Result: as prune-outbox. Cost: an index range and two probes a row.
WITH looked AS (
  SELECT id, seq, sealed_at FROM meter_reports WHERE seq > $1 ORDER BY seq LIMIT $4
), gone AS (
  DELETE FROM meter_reports r USING looked l
  WHERE r.id = l.id AND r.sealed_at < $2::timestamptz AND r.at < $2::timestamptz
    AND (r.state = 'replaced' OR r.state IN ('sent', 'nothing')
         AND (r.overage_micros = 0 OR r.billed_by IS NOT NULL OR r.successor IS NOT NULL))
    AND (r.at < $3::timestamptz OR EXISTS (
      SELECT FROM meter_periods p
      WHERE p.account_id = r.account_id AND p.event_name = r.event_name
        AND p.finalized_at < $2::timestamptz AND p.start_at <= r.at AND r.at < p.end_at))
    AND NOT EXISTS (SELECT FROM meter_reports c WHERE c.cancels = r.id)
  RETURNING r.id
)
SELECT count(*) AS looked, (SELECT count(*) FROM gone) AS gone, max(seq) AS last,
       coalesce(bool_and(sealed_at < $2::timestamptz), false) AS is_old
FROM looked
