-- Gives a key a new secret; the old one ends with this statement.
-- $1 key id, $2 prefix, $3 SHA-256 of the new secret, $4 now.
-- Result: the key, or none where it is unknown or revoked. Cost: O(log keys).
UPDATE api_keys
   SET prefix = $2, hash = $3, change_seq = change_seq + 1,
       changed_at = greatest(changed_at, $4::timestamptz)
 WHERE id = $1 AND status = 'active'
RETURNING *
