-- One claim of an account, locked.
-- Parameters: $1 account id, $2 claim id. Result: the claim or none. Cost: one row.
SELECT * FROM key_claims WHERE account_id = $1 AND id = $2 FOR UPDATE
