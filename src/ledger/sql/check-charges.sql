-- I9: charges among a range of entries that no receipt is about.
-- Parameters: $1 account id and $2 number to start after, $3 account id and $4 number of the last.
-- Result: account_id, hold_id, moved_micros. Cost: an index range, and a probe for each charge.
SELECT e.account_id, e.reference_id AS hold_id, -sum(e.micros)::bigint AS moved_micros
FROM ledger_entries e
WHERE (e.account_id, e.seq) > ($1, $2::bigint) AND (e.account_id, e.seq) <= ($3, $4::bigint)
  AND e.reference_type = 'usage' AND e.movement_type IN ('usage', 'reversal')
  AND NOT EXISTS (
    SELECT FROM usage u
    WHERE u.account_id = e.account_id
      AND u.hold_id = CASE WHEN e.reference_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                           THEN e.reference_id::uuid END)
GROUP BY e.account_id, e.reference_id
HAVING sum(e.micros) <> 0
