-- What a key has spent since a day, as postings keep it.
-- $1 key id, $2 first Unix day. Result: one row. Cost: a short index range (a row a day).
SELECT coalesce(sum(micros), 0)::bigint AS micros
  FROM key_spend
 WHERE key_id = $1 AND day >= $2
