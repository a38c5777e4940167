-- What the credit engine loads of an account.
-- Parameters: $1 account id. Result: no row or one. Cost: one index look-up.
SELECT id, posted_micros, credit_limit_micros + overage_limit_micros + plan_overage_limit_micros
         AS credit_limit_micros, status, version, change_seq
FROM accounts
WHERE id = $1
