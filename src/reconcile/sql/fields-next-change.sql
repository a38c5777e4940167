-- When a lot begins or ends by itself: the account must be looked at by then.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: the open lots.
SELECT a.id AS subject, a.id AS account_id, a.next_change_at::text AS one, l.at::text AS other
FROM accounts a
JOIN (
  SELECT account_id, min(CASE WHEN state = 'pending' THEN effective_at ELSE expires_at END) AS at
  FROM lots
  WHERE account_id > $1 AND account_id <= $2 AND is_open AND state IN ('pending', 'active')
    AND created_at < $3::timestamptz
  GROUP BY account_id
) l ON l.account_id = a.id
WHERE l.at IS NOT NULL AND (a.next_change_at IS NULL OR a.next_change_at > l.at)
