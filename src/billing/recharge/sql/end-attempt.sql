-- Ends an attempt. What succeeded stays so; what had failed may succeed after all.
-- Parameters: $1 id, $2 state, $3 payment (null = as it is), $4 failure, $5 link, $6 now.
-- Result: no row where nothing changed. Cost: one row.
UPDATE recharge_attempts
SET state = $2, payment_intent = coalesce(payment_intent, $3), failure = $4, link = $5,
    lease = NULL, tries = 0, due_at = $6, changed_at = $6
WHERE id = $1 AND (state IN ('planned', 'called', 'open')
                   OR (state IN ('failed', 'canceled') AND $2 = 'succeeded'))
RETURNING account_id, card_mark
