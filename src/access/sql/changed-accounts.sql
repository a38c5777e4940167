-- Accounts changed at or after a moment, in the order of their change, a page at a time.
-- $1 moment, $2 id after which the page starts at that moment ('' = first), $3 rows at most.
-- Result: id, change_seq, changed_at. Cost: O(rows) by accounts_changed_at.
SELECT id, change_seq, changed_at
  FROM accounts
 WHERE changed_at >= $1::timestamptz AND (changed_at, id) > ($1::timestamptz, $2)
 ORDER BY changed_at, id
 LIMIT $3
