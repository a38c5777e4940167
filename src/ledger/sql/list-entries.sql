-- A page of an account's ledger.
-- Parameters: $1 account id, $2 seq to start below (null = the newest), $3 most rows.
-- Result: newest first. Cost: one index range.
SELECT seq, lot_id, line, movement_type, micros, reason, reference_type, reference_id, op_id,
       created_at
FROM ledger_entries
WHERE account_id = $1 AND seq < coalesce($2::bigint, 9223372036854775807)
ORDER BY seq DESC
LIMIT $3
