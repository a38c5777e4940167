-- Recharges that are off: attempts refer to them, and nothing must be charged from here.
-- Parameters: $1 JSON array. Result: none. Cost: one row each; those that are there stay.
INSERT INTO recharges (account_id, state, reason, due_at, changed_at)
SELECT account_id, 'off', coalesce(reason, 'replay'), changed_at, changed_at
FROM json_to_recordset($1::json) AS r (account_id text, reason text, changed_at timestamptz)
ON CONFLICT DO NOTHING
