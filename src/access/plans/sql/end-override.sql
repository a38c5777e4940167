-- Ends an exception before its time; once.
-- $1 id, $2 account id, $3 now, $4 who. Result: the exception, or none. Cost: one row.
UPDATE entitlement_overrides
SET removed_at = coalesce(removed_at, $3::timestamptz), removed_by = coalesce(removed_by, $4)
WHERE id = $1 AND account_id = $2
RETURNING id, patch, reason, actor, expires_at, created_at, removed_at, removed_by
