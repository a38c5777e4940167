-- Writes down how far a replay is.
-- Parameters: $1 JSON as text. Result: none. Cost: one row.
INSERT INTO settings (name, value) VALUES ('replay', $1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
