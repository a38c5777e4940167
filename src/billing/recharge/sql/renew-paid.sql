-- The customer paid by the link that the last attempt had sent, bank and all: on again.
-- Parameters: $1 account id, $2 checkout that was paid, $3 now. Result: no row where it waits for
-- something else, or where the checkout was none of the last attempt. Cost: four index look-ups.
UPDATE recharges r
SET state = 'on', reason = NULL, declines = 0, due_at = $3, changed_at = $3
WHERE r.account_id = $1 AND r.state = 'blocked' AND r.reason = 'authentication_required'
  AND EXISTS (
    SELECT FROM checkout_sessions c
    JOIN recharge_attempts t ON t.account_id = c.account_id
      AND c.request_key = 'recharge:' || t.id
    WHERE c.id = $2 AND c.account_id = $1
      AND NOT EXISTS (SELECT FROM recharge_attempts later
                      WHERE later.account_id = $1 AND later.planned_at > t.planned_at))
RETURNING r.account_id
