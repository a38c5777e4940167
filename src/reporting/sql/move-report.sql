-- Another report takes the place of one that Stripe took when the invoice of its time was final:
-- no invoice bills it there. Parameters: $1 report id, $2 note, $3 id of the other.
-- Result: a row if it was so. Cost: an index range.
UPDATE meter_reports r SET note = $2, successor = $3
WHERE id = $1 AND state = 'sent' AND successor IS NULL AND billed_by IS NULL
  AND EXISTS (
    SELECT FROM meter_periods p
    WHERE p.account_id = r.account_id AND p.event_name = r.event_name
      AND p.start_at <= r.at AND r.at < p.end_at AND p.finalized_at IS NOT NULL)
  AND NOT EXISTS (
    SELECT FROM meter_periods p
    WHERE p.account_id = r.account_id AND p.event_name = r.event_name
      AND p.start_at <= r.at AND r.at < p.end_at
      AND (p.finalized_at IS NULL OR r.last_tried_at < p.finalized_at + interval '1 second'))
RETURNING id
