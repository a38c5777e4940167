-- Lots of some accounts that say something: what is on them, and what their expiry took.
-- Parameters: $1 account id and $2 lot id to start after, $3 last account id, $4 most rows.
-- Result: account_id, id, remaining_micros, expired_micros. Cost: the lots of those accounts.
SELECT account_id, id, remaining_micros, expired_micros
FROM lots
WHERE (account_id, id) > ($1, $2::uuid) AND account_id <= $3
  AND (remaining_micros > 0 OR expired_micros > 0)
ORDER BY account_id, id
LIMIT $4
