-- Turns a recharge off after a fraud warning, also one that nobody has set up yet: until the
-- operator turns it on. Outweighs all other reasons.
-- Parameters: $1 account id, $2 now. Result: no row where it was so before. Cost: one row.
INSERT INTO recharges AS r (account_id, state, reason, due_at, changed_at)
VALUES ($1, 'off', 'early_fraud_warning', $2, $2)
ON CONFLICT (account_id) DO UPDATE
SET state = 'off', reason = excluded.reason, changed_at = excluded.changed_at
WHERE r.state <> 'off' OR r.reason <> excluded.reason
RETURNING account_id
