-- Adds to what of a series is sealed. Parameters: $1 account id, $2 meter, $3 dimensions,
-- $4 quantity. Result: sealed, after it. Cost: one row.
INSERT INTO meter_series AS s (account_id, meter, dimensions, sealed)
VALUES ($1, $2, $3, $4::numeric)
ON CONFLICT (account_id, meter, dimensions) DO UPDATE SET sealed = s.sealed + excluded.sealed
RETURNING sealed::text AS sealed
