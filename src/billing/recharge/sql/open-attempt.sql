-- Stripe has it and it is not over. Parameters: $1 id, $2 payment, $3 now, $4 next look.
-- Result: no row where it was open or over before. Cost: one row.
UPDATE recharge_attempts
SET state = 'open', payment_intent = $2, lease = NULL, due_at = $4, changed_at = $3
WHERE id = $1 AND state = 'called'
RETURNING id
