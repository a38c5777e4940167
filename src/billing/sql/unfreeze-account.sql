-- Lets an account reserve again that only disputes had frozen, where none of them is left.
-- Parameters: $1 account id, $2 how the reason of such a freeze begins (LIKE), $3 now.
-- Result: no row where it stays as it is. Cost: one row.
UPDATE accounts
SET status = 'active', status_reason = NULL, change_seq = change_seq + 1, changed_at = $3
WHERE id = $1 AND status = 'frozen' AND status_reason LIKE $2
  AND NOT EXISTS (SELECT FROM stripe_disputes WHERE account_id = $1 AND is_freezing)
RETURNING id
