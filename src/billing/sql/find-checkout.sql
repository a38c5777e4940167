-- One checkout by any of its names.
-- Parameters, all but the named ones null: $1 id, $2 session, $3 payment, $4 account with
-- $5 the caller's key. Result: no row or one. Cost: one index look-up.
SELECT id, account_id, item_kind, item_id, stripe_price, micros, expires_days, success_url,
       cancel_url, request_hash, session_id, url, payment_intent, amount, currency, state, failure,
       expires_at, keeps_card, created_at, changed_at
FROM checkout_sessions
WHERE id = $1 OR session_id = $2 OR payment_intent = $3 OR (account_id = $4 AND request_key = $5)
