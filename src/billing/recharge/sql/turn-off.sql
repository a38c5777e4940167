-- Turns a recharge off until a person turns it on. What is off keeps its reason.
-- Parameters: $1 account id, $2 reason, $3 now. Result: no row where it was off. Cost: one row.
UPDATE recharges SET state = 'off', reason = $2, changed_at = $3
WHERE account_id = $1 AND state <> 'off'
RETURNING account_id
