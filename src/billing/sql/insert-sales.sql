-- Decides what a payment grants, once and for good.
-- Parameters: $1 JSON array of objects named like the columns, $2 now. Result: none.
-- Cost: one row each; those that are there stay as they are.
INSERT INTO stripe_sales (key, payment_id, account_id, item_kind, item_id, kind, micros,
                          expires_at, subscription_id, created_at)
SELECT key, payment_id, account_id, item_kind, item_id, kind, micros, expires_at,
       subscription_id, $2::timestamptz
FROM json_to_recordset($1::json) AS s (
  key text, payment_id text, account_id text, item_kind text, item_id text, kind text,
  micros bigint, expires_at timestamptz, subscription_id text)
ON CONFLICT (key) DO NOTHING
