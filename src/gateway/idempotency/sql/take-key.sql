-- Takes over a key whose request is gone, by compare-and-set.
-- $1 account_id text, $2 key text, $3 old hold_id uuid, $4 new hold_id uuid, $5 body_hash bytea,
-- $6 lease_until timestamptz, $7 expires_at timestamptz, $8 now timestamptz
-- Result: one row where this request took it. Cost: one update by primary key.
UPDATE idempotent_requests
SET hold_id = $4, body_hash = $5, lease_until = $6, expires_at = $7
WHERE account_id = $1 AND key = $2 AND hold_id = $3 AND state = 'open' AND lease_until < $8
RETURNING hold_id
