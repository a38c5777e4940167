-- Turns a recharge off until a person turns it on. A fraud warning outweighs other reasons.
-- Parameters: $1 account id, $2 reason, $3 now. Result: no row where it was off. Cost: one row.
UPDATE recharges SET state = 'off', reason = $2, changed_at = $3
WHERE account_id = $1 AND (state <> 'off' OR ($2 = 'early_fraud_warning' AND reason <> $2))
RETURNING account_id
