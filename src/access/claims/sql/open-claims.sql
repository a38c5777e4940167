-- The claims of an account that nobody has pressed, newest first; two tell that there are several.
-- Parameters: $1 account id. Result: at most two ids. Cost: the account's claims.
SELECT id FROM key_claims WHERE account_id = $1 AND state = 'open' ORDER BY id DESC LIMIT 2
