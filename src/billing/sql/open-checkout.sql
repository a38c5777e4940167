-- Notes the session that Stripe made. What an event told meanwhile is newer and stays.
-- Parameters: $1 id, $2 session, $3 URL, $4 amount, $5 currency, $6 expires at, $7 now.
-- Result: none. Cost: one row.
UPDATE checkout_sessions
SET session_id = $2, url = $3, amount = $4, currency = $5, expires_at = $6, changed_at = $7,
    state = CASE WHEN state = 'planned' THEN 'open' ELSE state END
WHERE id = $1
