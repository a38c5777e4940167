-- What a lot's expiry took and was not brought back: on the lot, and as entries.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: the entries of those accounts.
SELECT l.id::text AS subject, l.account_id, l.expired_micros::text AS one,
       coalesce(e.micros, 0)::text AS other
FROM lots l
LEFT JOIN (
  SELECT lot_id, -sum(micros)::bigint AS micros
  FROM ledger_entries
  WHERE account_id > $1 AND account_id <= $2
    AND (movement_type = 'expiry'
         OR (movement_type = 'reinstatement' AND op_id LIKE '%:reinstate'))
  GROUP BY lot_id
) e ON e.lot_id = l.id
WHERE l.account_id > $1 AND l.account_id <= $2 AND l.created_at < $3::timestamptz
  AND l.expired_micros <> coalesce(e.micros, 0)
ORDER BY l.id
LIMIT 1000
