-- One attempt, by its id or its payment. Parameters: $1 id, $2 payment (one of them null).
-- Result: no row or one. Cost: one index look-up.
SELECT * FROM recharge_attempts WHERE id = $1 OR payment_intent = $2
