-- What Postgres says of one account, held still until the transaction ends: no posting, grant or
-- change of it can commit meanwhile. What its plan gives is read apart: after the lock.
-- $1 account id. Result: one row or none. Cost: one index look-up; waits for a posting under way.
SELECT id, posted_micros, debt_micros,
       least(credit_limit_micros + overage_limit_micros + plan_overage_limit_micros,
             9007199254740991) AS limit_micros,
       status, version, change_seq, changed_at
  FROM accounts
 WHERE id = $1
   FOR NO KEY UPDATE
