-- Notes something that needs a person. Again: only seen again, and open again where
-- it had gone, was fixed, or its explanation has run out.
-- Parameters: $1 id, $2 kind, $3 severity, $4 subject, $5 evidence JSON, $6 time,
-- $7 at stake in micros or null. Result: none. Cost: one row.
INSERT INTO findings AS f (id, kind, severity, subject, evidence, first_seen, last_seen,
                           at_stake_micros)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
ON CONFLICT (kind, subject) DO UPDATE
SET last_seen = excluded.last_seen, evidence = excluded.evidence,
    at_stake_micros = excluded.at_stake_micros,
    state = CASE WHEN f.state IN ('gone', 'fixed') THEN 'open'
                 WHEN f.state = 'explained' AND f.explained_until <= excluded.last_seen THEN 'open'
                 ELSE f.state END
