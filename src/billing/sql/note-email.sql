-- Notes where an account is reached, where nobody has said.
-- Parameters: $1 account id, $2 address. Result: one row where it is new. Cost: one row.
UPDATE accounts SET email = $2 WHERE id = $1 AND email IS NULL
RETURNING id
