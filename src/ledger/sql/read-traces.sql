-- What some holds have moved so far, in order.
-- Parameters: $1 hold ids as text.
-- Result: hold_id, account_id, op_id, lot_id, line, movement_type, micros.
-- Cost: one index range a hold (op ids start with the hold's; ';' follows ':').
SELECT h.hold_id, e.account_id, e.op_id, e.lot_id, e.line, e.movement_type, e.micros
FROM unnest($1::text[]) AS h (hold_id)
JOIN ledger_entries e
  ON e.op_id >= h.hold_id || ':' COLLATE "C" AND e.op_id < h.hold_id || ';' COLLATE "C"
ORDER BY e.account_id, e.seq
