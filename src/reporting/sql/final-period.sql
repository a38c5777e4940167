-- Whether the invoice for a moment is final. Parameters: $1 account id, $2 event name, $3 moment.
-- Result: a row if it is. Cost: an index range.
SELECT invoice_id FROM meter_periods
WHERE account_id = $1 AND event_name = $2 AND finalized_at IS NOT NULL
  AND start_at <= $3::timestamptz AND $3::timestamptz < end_at
LIMIT 1
