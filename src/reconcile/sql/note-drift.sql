-- Notes a drift. Seen again it is the same finding: open again where it had gone, was fixed, or its
-- explanation has run out. Nothing where the run that saw it is in other hands by now.
-- Parameters: $1 id, $2 kind, $3 severity, $4 subject, $5 evidence JSON, $6 direction,
-- $7 at stake in micros, $8 time, $9 lease of the run or null = of no run.
-- Result: id, state; no row = the lease is lost. Cost: one row.
INSERT INTO findings AS f (id, kind, severity, subject, evidence, direction, at_stake_micros,
                           first_seen, last_seen)
SELECT $1::uuid, $2::text, $3::text, $4::text, $5::jsonb, $6::text, $7::bigint, $8::timestamptz,
       $8::timestamptz
WHERE $9::uuid IS NULL
   OR EXISTS (SELECT FROM reconcile_runs WHERE name = 'reconcile' AND lease = $9::uuid)
ON CONFLICT (kind, subject) DO UPDATE
SET last_seen = excluded.last_seen, evidence = excluded.evidence, severity = excluded.severity,
    direction = excluded.direction, at_stake_micros = excluded.at_stake_micros,
    state = CASE WHEN f.state IN ('gone', 'fixed') THEN 'open'
                 WHEN f.state = 'explained' AND f.explained_until <= excluded.last_seen THEN 'open'
                 ELSE f.state END
RETURNING f.id, f.state
