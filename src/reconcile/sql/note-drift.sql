-- Notes a drift. Seen again it is the same finding: open again where it had gone, was fixed, or its
-- explanation has run out.
-- Parameters: $1 id, $2 kind, $3 severity, $4 subject, $5 evidence JSON, $6 direction,
-- $7 at stake in micros, $8 time. Result: id, state. Cost: one row.
INSERT INTO findings AS f (id, kind, severity, subject, evidence, direction, at_stake_micros,
                           first_seen, last_seen)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
ON CONFLICT (kind, subject) DO UPDATE
SET last_seen = excluded.last_seen, evidence = excluded.evidence, severity = excluded.severity,
    direction = excluded.direction, at_stake_micros = excluded.at_stake_micros,
    state = CASE WHEN f.state IN ('gone', 'fixed') THEN 'open'
                 WHEN f.state = 'explained' AND f.explained_until <= excluded.last_seen THEN 'open'
                 ELSE f.state END
RETURNING f.id, f.state
