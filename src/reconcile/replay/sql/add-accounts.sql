-- Accounts as they are before anything has happened.
-- Parameters: $1 JSON array. Result: none. Cost: one row each; those that are there stay.
INSERT INTO accounts (id, subject_ref, name, stripe_customer_id, changed_at, created_at)
SELECT id, subject_ref, name, stripe_customer_id, created_at, created_at
FROM json_to_recordset($1::json) AS a (
  id text, subject_ref text, name text, stripe_customer_id text, created_at timestamptz)
ON CONFLICT DO NOTHING
