-- What is posted of some holds.
-- Parameters: $1 hold ids. Result: one row a hold and rev. Cost: one index look-up a hold.
SELECT hold_id, rev, account_id, micros, version
FROM usage
WHERE hold_id = ANY ($1::uuid[])
ORDER BY hold_id, rev
