-- The latest attempts of an account, newest first. Parameters: $1 account id, $2 most rows.
-- Result: one row an attempt. Cost: an index range.
SELECT * FROM recharge_attempts WHERE account_id = $1 ORDER BY planned_at DESC, id DESC LIMIT $2
