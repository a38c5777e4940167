-- Forgets a response that its provider deleted.
-- Parameters: $1 account, $2 id. Result: none. Cost: one index probe.
DELETE FROM stored_ids WHERE account_id = $1 AND id = $2
