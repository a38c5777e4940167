-- What a lot was granted: on the lot, and as entries (what repaid debt included).
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index look-up a lot.
SELECT l.id::text AS subject, l.account_id, l.granted_micros::text AS one,
       coalesce(e.micros, 0)::text AS other
FROM lots l
LEFT JOIN LATERAL (
  SELECT sum(micros)::bigint AS micros FROM ledger_entries WHERE op_id = 'grant:' || l.id::text
) e ON true
WHERE l.account_id > $1 AND l.account_id <= $2 AND l.created_at < $3::timestamptz
  AND l.state <> 'pending' AND l.granted_micros <> coalesce(e.micros, 0)
ORDER BY l.id
LIMIT 1000
