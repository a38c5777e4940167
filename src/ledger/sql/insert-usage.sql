-- Writes receipts and adds them to their keys' spend, which Σ over a budget's period reads.
-- Parameters: $1 JSON array of receipts, named like the columns; $2 JSON array of spend by key and
-- UTC day, one object a key and day; $3 time. Result: none. Cost: one row each. The accounts are
-- locked, and a key belongs to one account, so rows of key_spend are never waited for.
WITH spent AS (
  INSERT INTO key_spend AS k (key_id, day, micros)
  SELECT key_id, day, micros
  FROM json_to_recordset($2::json) AS s (key_id text, day integer, micros bigint)
  ON CONFLICT (key_id, day) DO UPDATE SET micros = k.micros + excluded.micros
)
INSERT INTO usage (hold_id, rev, account_id, key_id, version, micros, day, reserved_at, started_at,
                   protocol, endpoint, upstream, model, stream, estimated, late, usage,
                   provider_cost_pico_usd, price_version, http_status, first_byte_ms, duration_ms,
                   posted_at)
SELECT hold_id, rev, account_id, key_id, version, micros, day, reserved_at, started_at,
       protocol, endpoint, upstream, model, stream, estimated, late, usage,
       provider_cost_pico_usd, price_version, http_status, first_byte_ms, duration_ms,
       $3::timestamptz
FROM json_to_recordset($1::json) AS u (
  hold_id uuid, rev smallint, account_id text, key_id text, version bigint, micros bigint,
  day integer, reserved_at timestamptz, started_at timestamptz, protocol text, endpoint text,
  upstream text, model text, stream boolean, estimated boolean, late boolean, usage jsonb,
  provider_cost_pico_usd numeric, price_version text, http_status integer, first_byte_ms integer,
  duration_ms integer)
