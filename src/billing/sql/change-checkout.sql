-- Notes what became of a checkout; what was granted stays granted.
-- Parameters: $1 id, $2 session, $3 payment (null = as it is), $4 state, $5 failure, $6 now.
-- Result: none. Cost: one row.
UPDATE checkout_sessions
SET session_id = coalesce($2, session_id), payment_intent = coalesce($3, payment_intent),
    state = CASE WHEN state = 'granted' THEN state ELSE $4 END,
    failure = CASE WHEN state = 'granted' THEN failure ELSE $5 END,
    changed_at = $6
WHERE id = $1
