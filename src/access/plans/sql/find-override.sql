-- One exception, ended or not.
-- $1 id, $2 account id. Result: the exception, or none. Cost: one row.
SELECT id, patch, reason, actor, expires_at, created_at, removed_at, removed_by
FROM entitlement_overrides
WHERE id = $1 AND account_id = $2
