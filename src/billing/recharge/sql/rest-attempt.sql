-- Gives an attempt back until a time. Parameters: $1 id, $2 lease, $3 until. Result: none.
-- Cost: one row.
UPDATE recharge_attempts SET lease = NULL, due_at = $3 WHERE id = $1 AND lease = $2
