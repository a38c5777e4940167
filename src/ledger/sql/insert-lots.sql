-- Adds lots. A lot is there before the entries that move it.
-- Parameters: $1 JSON array of objects named like the columns, $2 time.
-- Result: none. Cost: one row each. Fails with 23505 where an account has that reference already.
INSERT INTO lots (id, account_id, kind, priority, state, granted_micros, remaining_micros,
                  effective_at, expires_at, reason, reference_type, reference_id, created_at)
SELECT id, account_id, kind, priority, state, granted_micros, remaining_micros,
       effective_at, expires_at, reason, reference_type, reference_id, $2::timestamptz
FROM json_to_recordset($1::json) AS l (
  id uuid, account_id text, kind text, priority integer, state text, granted_micros bigint,
  remaining_micros bigint, effective_at timestamptz, expires_at timestamptz, reason text,
  reference_type text, reference_id text)
