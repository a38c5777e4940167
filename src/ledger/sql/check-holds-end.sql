-- Where some receipts end, in the order of accounts and holds.
-- Parameters: $1 account id and $2 hold id to start after, $3 last account id, $4 how many less
-- one. Result: account_id, hold_id; no row where there are fewer. Cost: an index range of so many.
SELECT account_id, hold_id
FROM usage
WHERE (account_id, hold_id) > ($1, $2::uuid) AND account_id <= $3
ORDER BY account_id, hold_id
OFFSET $4
LIMIT 1
