-- Keeps what is left of a surplus, under the lock of the account. Parameters: $1 account id,
-- $2 event name, $3 micros. Result: none. Cost: one row.
INSERT INTO meter_surplus (account_id, event_name, micros) VALUES ($1, $2, $3)
ON CONFLICT (account_id, event_name) DO UPDATE SET micros = excluded.micros
