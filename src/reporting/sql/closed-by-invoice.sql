-- The overage of a meter that an invoice closed. Parameters: $1 account id, $2 event name,
-- $3 invoice. Result: one row, micros. Cost: the reports of that account and meter.
SELECT coalesce(sum(overage_micros), 0)::bigint AS micros FROM meter_reports
WHERE account_id = $1 AND event_name = $2 AND billed_by = $3
