-- Keeps a claim alive while its request is.
-- $1 account_id text, $2 key text, $3 hold_id uuid, $4 lease_until timestamptz
-- Cost: one update by primary key.
UPDATE idempotent_requests SET lease_until = $4
WHERE account_id = $1 AND key = $2 AND hold_id = $3 AND state = 'open'
