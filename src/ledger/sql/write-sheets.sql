-- Writes what one transaction did to its accounts: entries, lots, accounts, and where it posts:
-- receipts and their keys' spend (Σ of it over a budget's period is what the key has spent).
-- Amounts of lots and accounts are absolute, so nothing at all is written unless, under locks taken
-- here in id order, each account is as its sheet was made from and no hold of $7 has a receipt:
-- this statement sees what was posted before a sheet was made; what came later changed the account.
-- A client key belongs to one account, so rows of key_spend are never waited for; a backend key
-- acts for all and has no budget, so it has no rows.
-- Parameters: $1 accounts (was_* = as the sheet was made from), $2 changed lots, $3 spend (one row
-- a key and UTC day), $4 time, $5 entries, $6 receipts, $7 hold ids: arrays as text, of the types
-- of migration 0031.
-- Result: one row an account written; none = nothing was written, because something had changed.
-- Cost: one row each; columns that keep their value leave their indexes alone. One array a table:
-- of many arrays side by side each is put into a store of its own, JSON repeats every name. Each
-- LIMIT is beyond any array, and lets the plan that is made once expect few rows: so accounts and
-- lots are looked up by index, not read whole, and no batch is planned anew because it would be
-- cheaper with its own numbers.
WITH c AS MATERIALIZED (
  SELECT * FROM unnest($1::text::sheet_account[]) LIMIT length($1)
), locked AS MATERIALIZED (
  SELECT (a.version, a.change_seq, a.posted_micros) =
         (c.was_version, c.was_change_seq, c.was_posted_micros) AS is_same
  FROM accounts a JOIN c ON c.id = a.id
  ORDER BY a.id
  FOR NO KEY UPDATE OF a
), guard AS MATERIALIZED (
  SELECT (SELECT count(*) FROM c) = (
    SELECT count(*) FILTER (WHERE is_same) FROM locked
  ) AND NOT EXISTS (
    SELECT FROM (SELECT * FROM unnest($7::text::uuid[]) LIMIT length($7)) AS h (id)
    CROSS JOIN LATERAL (SELECT FROM usage WHERE hold_id = h.id ORDER BY rev LIMIT 1) u
  ) AS is_open
), moved AS (
  INSERT INTO ledger_entries (account_id, seq, lot_id, line, movement_type, micros, reason,
                              reference_type, reference_id, op_id, created_at)
  SELECT account_id, seq, lot_id, line, movement_type, micros, reason,
         reference_type, reference_id, op_id, $4::timestamptz
  FROM unnest($5::text::sheet_entry[])
  WHERE (SELECT is_open FROM guard)
), kept AS (
  UPDATE lots l
  SET state = c.state, remaining_micros = c.remaining_micros,
      expired_micros = c.expired_micros, expired_at = c.expired_at
  FROM (SELECT * FROM unnest($2::text::sheet_lot[]) LIMIT length($2)) c
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
  FROM unnest($6::text::sheet_receipt[])
  WHERE (SELECT is_open FROM guard)
), spent AS (
  INSERT INTO key_spend AS k (key_id, day, micros)
  SELECT key_id, day, micros
  FROM (SELECT * FROM unnest($3::text::sheet_spend[]) LIMIT length($3)) s
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
