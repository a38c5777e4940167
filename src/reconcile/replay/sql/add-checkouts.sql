-- Checkouts as they are when nobody has paid yet.
-- Parameters: $1 JSON array. Result: none. Cost: one row each; those that are there stay.
INSERT INTO checkout_sessions (id, account_id, item_kind, item_id, stripe_price, micros,
                               expires_days, success_url, cancel_url, request_hash, session_id,
                               amount, currency, state, created_at, changed_at)
SELECT id, account_id, item_kind, item_id, stripe_price, micros, expires_days, success_url,
       cancel_url, request_hash, session_id, amount, currency,
       CASE WHEN session_id IS NULL THEN 'planned' ELSE 'open' END, created_at, created_at
FROM json_to_recordset($1::json) AS c (
  id text, account_id text, item_kind text, item_id text, stripe_price text, micros bigint,
  expires_days integer, success_url text, cancel_url text, request_hash text, session_id text,
  amount bigint, currency text, created_at timestamptz)
ON CONFLICT DO NOTHING
