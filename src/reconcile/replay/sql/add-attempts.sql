-- Attempts as they stand. Whether one is paid, and grants anything, its payment alone decides.
-- Parameters: $1 JSON array. Result: none. Cost: one row each; those that are there stay.
INSERT INTO recharge_attempts (id, account_id, month, pack_id, stripe_price, micros, expires_days,
                               return_url, state, idempotency_key, customer_id, payment_method,
                               amount, currency, payment_intent, due_at, planned_at, called_at,
                               last_call_at, changed_at)
SELECT id, account_id, month, pack_id, stripe_price, micros, expires_days, return_url, state,
       idempotency_key, customer_id, payment_method, amount, currency, payment_intent, planned_at,
       planned_at, called_at, last_call_at, planned_at
FROM json_to_recordset($1::json) AS a (
  id text, account_id text, month text, pack_id text, stripe_price text, micros bigint,
  expires_days integer, return_url text, state text, idempotency_key text, customer_id text,
  payment_method text, amount bigint, currency text, payment_intent text, planned_at timestamptz,
  called_at timestamptz, last_call_at timestamptz)
ON CONFLICT DO NOTHING
