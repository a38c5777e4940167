-- Exceptions of an account, oldest first.
-- $1 account id, $2 whether also those that were removed. Result: one row each.
-- Cost: an index range; with $2 a scan of a small table.
SELECT id, patch, reason, actor, expires_at, created_at, removed_at, removed_by
FROM entitlement_overrides
WHERE account_id = $1 AND ($2 OR removed_at IS NULL)
ORDER BY created_at, id
