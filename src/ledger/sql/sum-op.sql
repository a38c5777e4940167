-- What one operation has moved.
-- Parameters: $1 op id. Result: entries, micros (Σ, signed). Cost: one short index range.
SELECT count(*) AS entries, coalesce(sum(micros), 0)::bigint AS micros
FROM ledger_entries
WHERE op_id = $1
