-- A time was compared. Parameters: $1 id. Result: none. Cost: one row.
DELETE FROM meter_checks WHERE id = $1
