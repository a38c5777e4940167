-- One finding. Parameters: $1 id. Result: no row or one. Cost: an index look-up.
SELECT id, kind, severity, subject, evidence, state, first_seen, last_seen, direction,
       at_stake_micros, note, explained_until
FROM findings
WHERE id = $1
