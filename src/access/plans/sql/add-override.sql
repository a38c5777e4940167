-- Adds an exception to an account. A repeated id changes nothing.
-- $1 id, $2 account id, $3 patch (JSON), $4 reason, $5 who, $6 expires at, $7 now.
-- Result: the exception, or none where there is no such account or the id is there. Cost: one row.
INSERT INTO entitlement_overrides (id, account_id, patch, reason, actor, expires_at, created_at)
SELECT $1, id, $3::jsonb, $4, $5, $6, $7 FROM accounts WHERE id = $2
ON CONFLICT (id) DO NOTHING
RETURNING id, patch, reason, actor, expires_at, created_at, removed_at, removed_by
