-- Ends a key for good. A second time changes nothing and answers the same row.
-- $1 key id, $2 now. Result: the key, or none where it is unknown. Cost: O(log keys).
UPDATE api_keys
   SET status = 'revoked',
       revoked_at = coalesce(revoked_at, $2::timestamptz),
       change_seq = change_seq + CASE WHEN status = 'active' THEN 1 ELSE 0 END,
       changed_at = CASE WHEN status = 'active' THEN greatest(changed_at, $2::timestamptz)
                         ELSE changed_at END
 WHERE id = $1
RETURNING *
