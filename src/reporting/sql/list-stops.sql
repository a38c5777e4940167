-- Meters and customers that are told nothing. Parameters: none. Result: kind, name, reason, since.
-- Cost: a few rows.
SELECT kind, name, reason, since FROM meter_stops ORDER BY kind, name
