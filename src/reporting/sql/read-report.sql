-- One report with its series. Parameters: $1 report id.
-- Result: no row or one. Cost: an index look-up.
SELECT id, identifier, account_id, customer_id, meter, event_name, dimensions, slot_at, kind, value,
       overage_micros, at, state
FROM meter_reports
WHERE id = $1
