-- The id of a report by its name. Parameters: $1 identifier. Result: no row or one, id.
-- Cost: an index look-up.
SELECT id FROM meter_reports WHERE identifier = $1
