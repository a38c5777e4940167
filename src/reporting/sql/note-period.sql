-- Keeps an invoice's period of a meter as it was just seen. Parameters: $1 invoice, $2 event name,
-- $3 account id, $4 start, $5 end, $6 final at or null. Result: none. Cost: one row.
INSERT INTO meter_periods AS p (invoice_id, event_name, account_id, start_at, end_at, finalized_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (invoice_id, event_name) DO UPDATE
SET start_at = excluded.start_at, end_at = excluded.end_at,
    finalized_at = coalesce(p.finalized_at, excluded.finalized_at)
