-- One report with its series. Parameters: $1 report id.
-- Result: no row or one; open_micros: its overage, where no invoice has closed that.
-- Cost: an index look-up.
SELECT id, identifier, account_id, customer_id, meter, event_name, dimensions, slot_at, kind, value,
       CASE WHEN billed_by IS NULL THEN overage_micros ELSE 0 END AS open_micros,
       at, state, successor
FROM meter_reports
WHERE id = $1
