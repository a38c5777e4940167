-- The posted balance of an account, as this transaction has left it.
-- Parameters: $1 account id. Result: posted_micros. Cost: one row.
SELECT posted_micros FROM accounts WHERE id = $1
