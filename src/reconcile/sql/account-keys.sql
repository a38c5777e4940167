-- What the hot path should believe of the keys of an account, a page at a time.
-- $1 account id, $2 id of the last key seen ('' = from the first), $3 rows at most.
-- Result: keys. Cost: O(rows) by api_keys_account.
SELECT id, status, budget_micros, requests_per_minute, tokens_per_minute, max_concurrency,
       change_seq, models, endpoints
  FROM api_keys
 WHERE account_id = $1 AND id > $2
 ORDER BY id
 LIMIT $3
