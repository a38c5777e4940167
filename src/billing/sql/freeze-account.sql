-- Keeps an active account from reserving.
-- Parameters: $1 account id, $2 reason, $3 now. Result: no row where it was not active.
-- Cost: one row.
UPDATE accounts
SET status = 'frozen', status_reason = $2, change_seq = change_seq + 1, changed_at = $3
WHERE id = $1 AND status = 'active'
RETURNING id
