-- What a sealing must know of a slot. Parameters: $1 account id, $2 meter, $3 dimensions, $4 slot,
-- $5 sent after this can be cancelled, $6 customer, $7 event name.
-- Result: one row: rev, the last one used; and of the largest event that can be cancelled, or null:
-- id, identifier, value, overage_micros. Cost: an index range.
SELECT r.rev, t.id, t.identifier, t.value, t.overage_micros
FROM (SELECT coalesce(max(rev), 0) AS rev FROM meter_reports
      WHERE account_id = $1 AND meter = $2 AND dimensions = $3 AND slot_at = $4::timestamptz) r
LEFT JOIN LATERAL (
  SELECT m.id, m.identifier, m.value, m.overage_micros FROM meter_reports m
  WHERE m.account_id = $1 AND m.meter = $2 AND m.dimensions = $3 AND m.slot_at = $4::timestamptz
    AND m.state = 'sent' AND m.kind = 'usage' AND m.sent_at > $5::timestamptz
    AND m.billed_by IS NULL AND m.successor IS NULL
    AND m.customer_id = $6 AND m.event_name = $7
    AND NOT EXISTS (SELECT FROM meter_reports c WHERE c.cancels = m.id)
  ORDER BY m.value DESC LIMIT 1) t ON true
