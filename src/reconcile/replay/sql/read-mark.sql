-- What a replay has written down of itself.
-- Parameters: none. Result: value (JSON as text); no row where none was begun here. Cost: one row.
SELECT value FROM settings WHERE name = 'replay'
