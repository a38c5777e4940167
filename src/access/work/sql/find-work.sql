-- The hold that a caller's key names. $1 account, $2 maker, $3 caller's key.
-- Result: no row or one. Cost: O(log holds).
SELECT * FROM work_holds WHERE account_id = $1 AND maker = $2 AND request_key = $3
