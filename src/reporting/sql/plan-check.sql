-- A time is to be compared with Stripe's summaries. Parameters: $1 id, $2 event name, $3 from,
-- $4 to, $5 due at. Result: none. Cost: one row.
INSERT INTO meter_checks (id, event_name, from_at, to_at, due_at) VALUES ($1, $2, $3, $4, $5)
