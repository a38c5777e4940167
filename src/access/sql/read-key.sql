-- One key, without its secret's hash being of any use to a reader.
-- $1 key id. Result: one row or none. Cost: O(log keys).
SELECT * FROM api_keys WHERE id = $1
