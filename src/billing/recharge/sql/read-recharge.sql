-- What an account allowed. Parameters: $1 account id. Result: no row or one.
-- Cost: one index look-up.
SELECT * FROM recharges WHERE account_id = $1
