-- I1 lot by lot: what the entries say is on a lot is what is on it.
-- Parameters: $1 account id to start after, $2 last account id. Result: the lots where it is not.
-- Cost: reads all entries and lots of those accounts.
SELECT l.account_id, l.id, l.remaining_micros, coalesce(e.micros, 0) AS entries_micros
FROM lots l
LEFT JOIN (
  SELECT lot_id, sum(micros)::bigint AS micros
  FROM ledger_entries
  WHERE account_id > $1 AND account_id <= $2 AND lot_id IS NOT NULL
  GROUP BY lot_id
) e ON e.lot_id = l.id
WHERE l.account_id > $1 AND l.account_id <= $2
  AND coalesce(e.micros, 0) <> l.remaining_micros
ORDER BY l.account_id, l.id
LIMIT 1000
