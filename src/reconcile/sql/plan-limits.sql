-- What the plan of an account rules in the credit engine. Under the account's lock it stands still.
-- $1 account id. Result: no row (nothing) or one. Cost: one index look-up.
SELECT blocked IS NOT NULL AS is_blocked, credit_limit_micros, requests_per_minute,
       tokens_per_minute, max_concurrency
  FROM entitlements
 WHERE account_id = $1
