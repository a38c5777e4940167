-- The newest version that a range of receipts names, by account.
-- Parameters: $1 account id and $2 hold id to start after, $3 account id and $4 hold id of the
-- last. Result: account_id, version. Cost: an index range.
SELECT account_id, max(version) AS version
FROM usage
WHERE (account_id, hold_id) > ($1, $2::uuid) AND (account_id, hold_id) <= ($3, $4::uuid)
GROUP BY account_id
