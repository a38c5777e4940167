-- Another report takes the place of one that no invoice bills where it is: Stripe took it when the
-- invoice of its time was final, or its period is over and there is no invoice of it.
-- Parameters: $1 report id, $2 note, $3 id of the other, $4 periods that ended before this have
-- been invoiced. Result: a row if it was so. Cost: an index range.
UPDATE meter_reports r SET note = $2, successor = $3
WHERE id = $1 AND state = 'sent' AND successor IS NULL AND billed_by IS NULL
  AND (
    EXISTS (
      SELECT FROM meter_periods p
      WHERE p.account_id = r.account_id AND p.event_name = r.event_name
        AND p.start_at <= r.at AND r.at < p.end_at AND p.finalized_at IS NOT NULL)
    OR EXISTS (
      SELECT FROM subscriptions s
      CROSS JOIN LATERAL (VALUES (s.current_period_start), (s.current_period_end)) b (at)
      WHERE s.account_id = r.account_id AND b.at > r.at AND b.at < $4::timestamptz
        AND (s.ended_at IS NULL OR s.ended_at > r.at)))
  AND NOT EXISTS (
    SELECT FROM meter_periods p
    WHERE p.account_id = r.account_id AND p.event_name = r.event_name
      AND p.start_at <= r.at AND r.at < p.end_at
      AND (p.finalized_at IS NULL OR r.last_tried_at < p.finalized_at + interval '1 second'))
RETURNING id
