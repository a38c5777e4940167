-- Lets a finding stand, with the reason and until when.
-- Parameters: $1 id, $2 note, $3 until (null = for good). Result: the finding. Cost: one row.
UPDATE findings SET state = 'explained', note = $2, explained_until = $3
WHERE id = $1 AND state IN ('open', 'explained')
RETURNING id, kind, severity, subject, evidence, state, first_seen, last_seen, direction,
          at_stake_micros, note, explained_until
