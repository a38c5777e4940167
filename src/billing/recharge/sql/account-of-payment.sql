-- Whose payment it is that granted something. Parameters: $1 payment id.
-- Result: no row or one. Cost: one index look-up.
SELECT account_id FROM stripe_payments WHERE id = $1
