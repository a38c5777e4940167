-- Claims an idempotency key for a request.
-- $1 account_id text, $2 key text, $3 hold_id uuid, $4 body_hash bytea, $5 lease_until timestamptz,
-- $6 expires_at timestamptz
-- Result: one row where it was free, none where somebody has it. Cost: one insert.
INSERT INTO idempotent_requests
  (account_id, key, hold_id, body_hash, lease_until, state, expires_at)
VALUES ($1, $2, $3, $4, $5, 'open', $6)
ON CONFLICT (account_id, key) DO NOTHING
RETURNING hold_id
