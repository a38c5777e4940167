-- An account that a dispute keeps frozen, and its disputes. The other way round an operator may
-- have let it go on.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT a.id AS subject, a.id AS account_id, a.status_reason AS one, NULL AS other
FROM accounts a
WHERE a.id > $1 AND a.id <= $2 AND a.changed_at < $3::timestamptz
  AND a.status = 'frozen' AND a.status_reason LIKE 'dispute %'
  AND NOT EXISTS (SELECT FROM stripe_disputes d WHERE d.account_id = a.id AND d.is_freezing)
