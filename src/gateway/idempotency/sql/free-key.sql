-- Frees a key whose request ended without a charge.
-- $1 account_id text, $2 key text, $3 hold_id uuid. Cost: one delete by primary key.
DELETE FROM idempotent_requests
WHERE account_id = $1 AND key = $2 AND hold_id = $3 AND state = 'open'
