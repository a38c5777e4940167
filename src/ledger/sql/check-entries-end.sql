-- Where some entries end, in the order of accounts and numbers.
-- Parameters: $1 account id and $2 number to start after, $3 last account id, $4 how many less one.
-- Result: account_id, seq; no row where there are fewer. Cost: an index range of so many.
SELECT account_id, seq
FROM ledger_entries
WHERE (account_id, seq) > ($1, $2::bigint) AND account_id <= $3
ORDER BY account_id, seq
OFFSET $4
LIMIT 1
