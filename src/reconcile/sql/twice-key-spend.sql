-- What keys have spent, kept by day beside the receipts it is the sum of.
-- Parameters: $1 key to start after, $2 most keys, $3 days from (Unix days) on.
-- Result: the keys and days that differ. Cost: reads the receipts of those keys' accounts.
WITH keys AS (
  SELECT id, account_id FROM api_keys WHERE id > $1 AND kind = 'client' ORDER BY id LIMIT $2
), receipts AS (
  SELECT DISTINCT ON (u.hold_id) u.key_id, u.day, u.micros
  FROM keys k JOIN usage u ON u.account_id = k.account_id AND u.key_id = k.id
  ORDER BY u.hold_id, u.rev DESC
), spent AS (
  SELECT key_id, day, sum(micros)::bigint AS micros FROM receipts GROUP BY key_id, day
)
SELECT coalesce(s.key_id, k.key_id) AS key_id, coalesce(s.day, k.day) AS day,
       coalesce(s.micros, 0) AS receipts_micros, coalesce(k.micros, 0) AS kept_micros
FROM spent s
FULL JOIN (SELECT ks.* FROM key_spend ks JOIN keys ON keys.id = ks.key_id) k
  ON k.key_id = s.key_id AND k.day = s.day
WHERE coalesce(s.day, k.day) >= $3 AND coalesce(s.micros, 0) <> coalesce(k.micros, 0)
ORDER BY 1, 2
