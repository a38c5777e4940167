-- Another card than the one that was declined: on again, with one try.
-- Parameters: $1 account id, $2 mark of the card as it is now, $3 declines that leave one try,
-- $4 now. Result: no row where it is the same card or nothing was declined. Cost: one row.
UPDATE recharges
SET state = 'on', reason = NULL, declines = $3, due_at = $4, changed_at = $4,
    card_mark = NULL
WHERE account_id = $1 AND (state = 'blocked' OR (state = 'on' AND declines > 0))
  AND card_mark IS DISTINCT FROM $2
RETURNING account_id
