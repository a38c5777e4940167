-- Notes how a recharge goes on after an attempt. One that was turned off meanwhile stays off.
-- Parameters: $1 account id, $2 state, $3 reason, $4 declines in a row, $5 mark of the card that
-- was declined (null = none), $6 no attempt before, $7 now. Result: none. Cost: one row.
UPDATE recharges
SET state = CASE WHEN state = 'off' THEN state ELSE $2 END,
    reason = CASE WHEN state = 'off' THEN reason ELSE $3 END,
    declines = $4, card_mark = $5, due_at = $6, changed_at = $7
WHERE account_id = $1
