-- Closes findings about meters and periods whose cause is gone: a meter that takes events again, a
-- period of which nothing waits any more. What a lane says of its meter it says again while it
-- stands: gone is what was not said for a while, or was sent since.
-- Parameters: $1 said last before this, $2 reports of periods final before this are not all there.
-- Result: none. Cost: a scan of the findings; of each an index range.
UPDATE findings f SET state = 'gone'
WHERE f.state = 'open' AND CASE f.kind
  WHEN 'meter_stopped' THEN NOT EXISTS (
    SELECT FROM meter_stops s WHERE s.kind = 'meter' AND s.name = f.subject)
  WHEN 'meter_missing' THEN f.last_seen < $1::timestamptz OR EXISTS (
    SELECT FROM meter_reports r
    WHERE r.event_name = f.subject AND r.sent_at > f.last_seen
      AND r.at > f.last_seen - interval '36 days')
  WHEN 'meter_denied' THEN f.last_seen < $1::timestamptz OR EXISTS (
    SELECT FROM meter_reports r
    WHERE r.event_name = f.subject AND r.sent_at > f.last_seen
      AND r.at > f.last_seen - interval '36 days')
  WHEN 'meter_unsent_at_final' THEN EXISTS (
    SELECT FROM meter_periods p
    WHERE p.invoice_id = f.evidence->>'invoice' AND p.event_name = f.evidence->>'event_name'
      AND p.finalized_at > $2::timestamptz
      AND NOT EXISTS (
        SELECT FROM meter_reports r
        WHERE r.account_id = p.account_id AND r.event_name = p.event_name
          AND r.at >= p.start_at AND r.at < p.end_at AND r.successor IS NULL
          AND (r.state IN ('ready', 'unclear', 'refused', 'late')
               OR (r.state = 'sent' AND r.billed_by IS NULL
                   AND r.last_tried_at >= p.finalized_at + interval '1 second')))
      AND NOT EXISTS (
        SELECT FROM meter_outbox o
        WHERE o.account_id = p.account_id AND o.sealing_id IS NULL
          AND o.used_at >= p.start_at AND o.used_at < p.end_at
          AND coalesce(f.evidence->'meters', jsonb_build_array(p.event_name)) ? o.meter))
  WHEN 'meter_period_negative' THEN EXISTS (
    SELECT FROM meter_periods p
    WHERE p.invoice_id = f.evidence->>'invoice' AND p.event_name = f.evidence->>'event_name'
      AND p.finalized_at > $2::timestamptz
      AND 0 <= (
        SELECT coalesce(sum(r.value), 0) FROM meter_reports r
        WHERE r.account_id = p.account_id AND r.event_name = p.event_name AND r.state = 'sent'
          AND r.at >= p.start_at AND r.at < p.end_at AND r.successor IS NULL))
  ELSE false END
