-- Nothing more is told to a meter or of a customer. Parameters: $1 kind, $2 name, $3 reason,
-- $4 now. Result: none. Cost: one row.
INSERT INTO meter_stops (kind, name, reason, since) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, name) DO NOTHING
