-- Whose payment it is, whether it granted something or not: our own rows first, then its customer.
-- Parameters: $1 what was granted (a payment or an invoice), $2 payment (null = none), $3 customer
-- (null = none). Result: one row, account_id (null = nobody's we know). Cost: four look-ups.
SELECT coalesce(
  (SELECT account_id FROM stripe_payments WHERE id = $1),
  (SELECT account_id FROM checkout_sessions WHERE payment_intent = $2),
  (SELECT account_id FROM recharge_attempts WHERE payment_intent = $2),
  (SELECT id FROM accounts WHERE stripe_customer_id = $3)
) AS account_id
