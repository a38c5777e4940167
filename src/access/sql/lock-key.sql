-- Locks a key: what its earlier changes left is seen by the next statement.
-- $1 key id. Result: a row where there is one. Cost: O(log keys).
SELECT 1 FROM api_keys WHERE id = $1 FOR UPDATE
