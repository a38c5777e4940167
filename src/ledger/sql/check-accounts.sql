-- What accounts of a page say of themselves, and what is left on their lots.
-- Parameters: $1 account id to start after, $2 most accounts. Result: one row an account, in id
-- order. Cost: their open lots.
SELECT a.id, a.posted_micros, a.debt_micros, a.overage_micros, a.entry_seq, a.version,
       l.remaining AS lots_micros
FROM (SELECT * FROM accounts WHERE id > $1 ORDER BY id LIMIT $2) a
CROSS JOIN LATERAL (
  SELECT coalesce(sum(remaining_micros), 0)::bigint AS remaining
  FROM lots WHERE account_id = a.id AND is_open
) l
ORDER BY a.id
