-- The markup of an account.
-- $1 account id. Result: no row or one. Cost: one index look-up.
SELECT markup FROM accounts WHERE id = $1
