-- Gives a key a new secret; the old one ends with this statement. A request that did so does
-- nothing again: it is known by its line in audit_log, or as the last one by its Idempotency-Key
-- (before there were such lines). The key is locked by then.
-- $1 key id, $2 prefix, $3 SHA-256 of the new secret, $4 now, $5 its Idempotency-Key or null,
-- $6 its id in audit_log or null.
-- Result: the key; none where it is unknown, revoked or was rotated by this request.
-- Cost: O(log keys).
UPDATE api_keys
   SET prefix = $2, hash = $3, change_seq = change_seq + 1, rotated_by = $5::text,
       changed_at = greatest(changed_at, $4::timestamptz)
 WHERE id = $1 AND status = 'active' AND ($5::text IS NULL OR rotated_by IS DISTINCT FROM $5::text)
   AND NOT EXISTS (SELECT 1 FROM audit_log WHERE id = $6::uuid)
RETURNING *
