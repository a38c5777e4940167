-- How often an invoice has closed overage of a meter. Parameters: $1 name of the operation.
-- Result: one row, entries. Cost: an index range ('$' follows '#').
SELECT count(*) AS entries FROM ledger_entries
WHERE op_id = $1 COLLATE "C" OR (op_id > $1 || '#' COLLATE "C" AND op_id < $1 || '$' COLLATE "C")
