-- Closes what a whole comparison did not see any more, also where an explanation of it has run out.
-- Nothing where the run is in other hands by now: what it saw last was not noted.
-- Parameters: $1 kinds, $2 start of the run, $3 only what was made after (Unix ms; null = all),
-- $4 lease of the run or null = of no run.
-- Result: none. Cost: a scan of the findings.
UPDATE findings
SET state = 'gone'
WHERE kind = ANY ($1::text[]) AND last_seen < $2::timestamptz
  AND (state = 'open' OR (state = 'explained' AND explained_until <= $2::timestamptz))
  AND ($3::bigint IS NULL OR (evidence->>'created_ms')::bigint >= $3)
  AND ($4::uuid IS NULL
       OR EXISTS (SELECT FROM reconcile_runs WHERE name = 'reconcile' AND lease = $4::uuid))
