-- What reconciliation and posting found, newest first, a page at a time.
-- $1 state (null = any), $2 id of the last one seen (null = from the newest), $3 rows at most.
-- Result: findings. Cost: O(rows) by the primary key; ids sort by creation.
SELECT id, kind, severity, subject, evidence, state, first_seen, last_seen, direction,
       at_stake_micros, note, explained_until
  FROM findings
 WHERE ($1::text IS NULL OR state = $1) AND ($2::uuid IS NULL OR id < $2)
 ORDER BY id DESC
 LIMIT $3
