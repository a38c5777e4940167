-- Whether a key still has the secret that was shown.
-- Parameters: $1 key id, $2 hash of the secret. Result: the key, or none. Cost: one row.
SELECT * FROM api_keys WHERE id = $1 AND hash = $2 AND status = 'active'
