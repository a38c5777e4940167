-- What earlier invoices billed beyond the overage that was open. Parameters: $1 account id,
-- $2 event name. Result: no row or one, micros. Cost: an index look-up.
SELECT micros FROM meter_surplus WHERE account_id = $1 AND event_name = $2
