-- Accounts that chose a payment method. Parameters: $1 payment method. Result: account_id.
-- Cost: one index look-up.
SELECT account_id FROM recharges WHERE payment_method = $1
