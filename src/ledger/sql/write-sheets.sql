-- Writes what one transaction did to its accounts: entries, lots, accounts, and where it posts:
-- receipts and their keys' spend (Σ of it over a budget's period is what the key has spent).
-- Amounts of lots and accounts are absolute, so nothing at all is written unless, under locks taken
-- here in id order, each account is as its sheet was made from and no hold of $37 has a receipt:
-- this statement sees what was posted before a sheet was made; what came later changed the account.
-- A client key belongs to one account, so rows of key_spend are never waited for; a backend key
-- acts for all and has no budget, so it has no rows.
-- Parameters: $1 accounts, $2 changed lots, $3 spend (one object a key and UTC day): JSON arrays of
-- objects named like the columns below, was_* = as the sheet was made from; $4 time; then arrays as
-- text, one a column: $5–$14 of the entries, $15–$36 of the receipts; $37 hold ids.
-- Result: one row an account written; none = nothing was written, because something had changed.
-- Cost: one row each; columns that keep their value leave their indexes alone. Columns instead of
-- JSON, because with the many rows Postgres would spend a third of its time on reading the JSON.
WITH c AS MATERIALIZED (
  SELECT * FROM json_to_recordset($1::json) AS c (
    id text, was_version bigint, was_change_seq bigint, was_posted_micros bigint,
    posted_micros bigint, debt_micros bigint, overage_micros bigint, version bigint,
    entry_seq bigint, next_change_at timestamptz, change_seq bigint)
), locked AS MATERIALIZED (
  SELECT id, version, change_seq, posted_micros
  FROM accounts
  WHERE id = ANY (ARRAY(SELECT id FROM c))
  ORDER BY id
  FOR NO KEY UPDATE
), guard AS MATERIALIZED (
  SELECT (SELECT count(*) FROM c) = (
    -- FILTER, because a join would be planned for few accounts and compare each with each.
    SELECT count(*) FILTER (WHERE (id, version, change_seq, posted_micros) IN (
      SELECT id, was_version, was_change_seq, was_posted_micros FROM c))
    FROM locked
  ) AND NOT EXISTS (
    SELECT FROM unnest($37::text::uuid[]) AS h (id)
    CROSS JOIN LATERAL (SELECT FROM usage WHERE hold_id = h.id ORDER BY rev LIMIT 1) u
  ) AS is_open
), moved AS (
  INSERT INTO ledger_entries (account_id, seq, lot_id, line, movement_type, micros, reason,
                              reference_type, reference_id, op_id, created_at)
  SELECT account_id, seq, lot_id, line, movement_type, micros, reason,
         reference_type, reference_id, op_id, $4::timestamptz
  FROM unnest($5::text::text[], $6::text::bigint[], $7::text::uuid[], $8::text::text[],
              $9::text::text[], $10::text::bigint[], $11::text::text[], $12::text::text[],
              $13::text::text[], $14::text::text[]) AS e (
    account_id, seq, lot_id, line, movement_type, micros, reason, reference_type, reference_id,
    op_id)
  WHERE (SELECT is_open FROM guard)
), kept AS (
  UPDATE lots l
  SET state = c.state, remaining_micros = c.remaining_micros,
      expired_micros = c.expired_micros, expired_at = c.expired_at
  FROM json_to_recordset($2::json) AS c (
    id uuid, state text, remaining_micros bigint, expired_micros bigint, expired_at timestamptz)
  WHERE l.id = c.id AND (SELECT is_open FROM guard)
), used AS (
  INSERT INTO usage (hold_id, rev, account_id, key_id, version, micros, day, reserved_at,
                     started_at, protocol, endpoint, upstream, model, stream, estimated, late,
                     usage, provider_cost_pico_usd, price_version, http_status, first_byte_ms,
                     duration_ms, posted_at)
  SELECT hold_id, rev, account_id, key_id, version, micros, day, reserved_at,
         started_at, protocol, endpoint, upstream, model, stream, estimated, late,
         usage, provider_cost_pico_usd, price_version, http_status, first_byte_ms,
         duration_ms, $4::timestamptz
  FROM unnest($15::text::uuid[], $16::text::smallint[], $17::text::text[], $18::text::text[],
              $19::text::bigint[], $20::text::bigint[], $21::text::integer[],
              $22::text::timestamptz[], $23::text::timestamptz[], $24::text::text[],
              $25::text::text[], $26::text::text[], $27::text::text[], $28::text::boolean[],
              $29::text::boolean[], $30::text::boolean[], $31::text::jsonb[],
              $32::text::numeric[], $33::text::text[], $34::text::integer[],
              $35::text::integer[], $36::text::integer[]) AS u (
    hold_id, rev, account_id, key_id, version, micros, day, reserved_at, started_at, protocol,
    endpoint, upstream, model, stream, estimated, late, usage, provider_cost_pico_usd,
    price_version, http_status, first_byte_ms, duration_ms)
  WHERE (SELECT is_open FROM guard)
), spent AS (
  INSERT INTO key_spend AS k (key_id, day, micros)
  SELECT key_id, day, micros
  FROM json_to_recordset($3::json) AS s (key_id text, day integer, micros bigint)
  WHERE (SELECT is_open FROM guard)
    AND (SELECT kind FROM api_keys WHERE id = s.key_id) IS DISTINCT FROM 'backend'
  ON CONFLICT (key_id, day) DO UPDATE SET micros = k.micros + excluded.micros
)
UPDATE accounts a
SET posted_micros = c.posted_micros, debt_micros = c.debt_micros,
    overage_micros = c.overage_micros, version = c.version, entry_seq = c.entry_seq,
    next_change_at = c.next_change_at, change_seq = c.change_seq,
    changed_at = CASE WHEN c.change_seq <> a.change_seq THEN $4::timestamptz ELSE a.changed_at END
FROM c
WHERE a.id = c.id AND (SELECT is_open FROM guard)
RETURNING a.id
