-- Whether a key is revoked: by its state, and by when.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT k.id AS subject, k.account_id, k.status AS one, k.revoked_at::text AS other
FROM api_keys k
WHERE k.account_id > $1 AND k.account_id <= $2 AND k.changed_at < $3::timestamptz
  AND (k.status = 'revoked') <> (k.revoked_at IS NOT NULL)
ORDER BY k.id
LIMIT 1000
