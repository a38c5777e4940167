-- What is posted of some holds: the highest rev of each.
-- Parameters: $1 hold ids. Result: one row a hold that has a receipt.
-- Cost: one index look-up a hold. LATERAL … LIMIT keeps it so: a plan made while the table was
-- still empty would scan it, and stays in use while the table grows.
SELECT u.hold_id, u.rev, u.account_id, u.micros, u.version
FROM unnest($1::uuid[]) AS h (id)
CROSS JOIN LATERAL (
  SELECT hold_id, rev, account_id, micros, version
  FROM usage
  WHERE hold_id = h.id
  ORDER BY rev DESC
  LIMIT 1
) u
