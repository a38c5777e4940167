-- Writes what one transaction did to its locked accounts: entries, lots, accounts. Amounts of lots
-- and accounts are absolute, which the locks make safe.
-- Parameters, JSON arrays of objects named like the columns below: $1 accounts, $2 changed lots,
-- $3 entries; $4 time. Result: none. Cost: one row each; unchanged columns keep their indexes.
WITH moved AS (
  INSERT INTO ledger_entries (account_id, seq, lot_id, line, movement_type, micros, reason,
                              reference_type, reference_id, op_id, created_at)
  SELECT account_id, seq, lot_id, line, movement_type, micros, reason,
         reference_type, reference_id, op_id, $4::timestamptz
  FROM json_to_recordset($3::json) AS e (
    account_id text, seq bigint, lot_id uuid, line text, movement_type text, micros bigint,
    reason text, reference_type text, reference_id text, op_id text)
), kept AS (
  UPDATE lots l
  SET state = c.state, remaining_micros = c.remaining_micros,
      expired_micros = c.expired_micros, expired_at = c.expired_at
  FROM json_to_recordset($2::json) AS c (
    id uuid, state text, remaining_micros bigint, expired_micros bigint, expired_at timestamptz)
  WHERE l.id = c.id
)
UPDATE accounts a
SET posted_micros = c.posted_micros, debt_micros = c.debt_micros,
    overage_micros = c.overage_micros, version = c.version, entry_seq = c.entry_seq,
    next_change_at = c.next_change_at, change_seq = c.change_seq,
    changed_at = CASE WHEN c.change_seq <> a.change_seq THEN $4::timestamptz ELSE a.changed_at END
FROM json_to_recordset($1::json) AS c (
  id text, posted_micros bigint, debt_micros bigint, overage_micros bigint, version bigint,
  entry_seq bigint, next_change_at timestamptz, change_seq bigint)
WHERE a.id = c.id
