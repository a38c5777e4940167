-- Lets recharges rest until a time. Parameters: $1 account ids, $2 until, $3 now. Result: none.
-- Cost: one row each.
UPDATE recharges SET due_at = $2, changed_at = $3 WHERE account_id = ANY ($1::text[])
