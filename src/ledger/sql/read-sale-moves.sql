-- What clawbacks and restorations of some sales have moved so far, in order.
-- Parameters: $1 keys of the sales. Result: key, op_id, lot_id, line, movement_type, micros.
-- Cost: one index range a sale (their op ids are "sale:<key>#…"; '$' follows '#').
SELECT s.key, e.op_id, e.lot_id, e.line, e.movement_type, e.micros
FROM unnest($1::text[]) AS s (key)
JOIN ledger_entries e ON e.op_id >= 'sale:' || s.key || '#' COLLATE "C"
                     AND e.op_id < 'sale:' || s.key || '$' COLLATE "C"
ORDER BY e.account_id, e.seq
