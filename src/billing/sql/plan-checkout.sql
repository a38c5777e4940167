-- Writes down what is bought before Stripe is asked.
-- Parameters: $1 id, $2 account id, $3 item kind, $4 item id, $5 price, $6 micros, $7 days until
-- they expire, $8 success URL, $9 cancel URL, $10 the caller's key (null = none), $11 hash of the
-- request, $12 now, $13 whether its card is kept for recharges.
-- Result: no row where the account has that key already. Cost: one row.
INSERT INTO checkout_sessions (id, account_id, item_kind, item_id, stripe_price, micros,
                               expires_days, success_url, cancel_url, request_key, request_hash,
                               state, created_at, changed_at, keeps_card)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'planned', $12, $12, $13)
ON CONFLICT (account_id, request_key) DO NOTHING
RETURNING id
