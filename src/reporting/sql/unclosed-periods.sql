-- Final invoices with overage that Stripe was told in time and that they have not closed.
-- Parameters: $1 final after this, $2 most rows.
-- Result: invoice_id, event_name, account_id, start_at, end_at, finalized_at.
-- Cost: the invoices of that time, an index range each.
SELECT invoice_id, event_name, account_id, start_at, end_at, finalized_at
FROM meter_periods p
WHERE finalized_at > $1::timestamptz AND EXISTS (
  SELECT FROM meter_reports r
  WHERE r.account_id = p.account_id AND r.event_name = p.event_name
    AND r.at >= p.start_at AND r.at < p.end_at AND r.overage_micros > 0
    AND r.state IN ('sent', 'nothing') AND r.billed_by IS NULL AND r.successor IS NULL
    AND (r.state = 'nothing'
         OR coalesce(r.last_tried_at, r.sealed_at) < p.finalized_at + interval '1 second'))
ORDER BY finalized_at
LIMIT $2
