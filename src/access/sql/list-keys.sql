-- Keys of an account, or the backend keys, in order of their ids (which sort by creation).
-- $1 account id (null = backend keys), $2 id of the last one seen (null = from the first),
-- $3 rows at most. Result: keys. Cost: O(rows) by api_keys_account.
SELECT *
  FROM api_keys
 WHERE account_id IS NOT DISTINCT FROM $1 AND ($2::text IS NULL OR id > $2)
 ORDER BY id
 LIMIT $3
