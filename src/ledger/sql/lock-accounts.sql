-- Locks accounts, in id order so that no two transactions wait for each other in a circle.
-- NO KEY: nothing here changes the id, so rows that refer to the account can be added meanwhile.
-- Parameters: $1 account ids. Result: one row an account that exists. Cost: one index look-up each.
SELECT id, least(overage_limit_micros + plan_overage_limit_micros, 9007199254740991)
         AS overage_limit_micros, posted_micros, debt_micros, overage_micros, version, change_seq,
       entry_seq, next_change_at, meter_plan
FROM accounts
WHERE id = ANY ($1::text[])
ORDER BY id
FOR NO KEY UPDATE
