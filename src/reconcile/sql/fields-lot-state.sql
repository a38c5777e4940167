-- Whether a lot has expired: by its state, and by when.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: the lots of those accounts.
SELECT l.id::text AS subject, l.account_id, l.state AS one, l.expired_at::text AS other
FROM lots l
WHERE l.account_id > $1 AND l.account_id <= $2 AND l.created_at < $3::timestamptz
  AND (l.state = 'expired') <> (l.expired_at IS NOT NULL)
ORDER BY l.id
LIMIT 1000
