-- Keeps findings of what was not judged this time: it is neither there nor gone.
-- Parameters: $1 subjects, $2 kinds, $3 time. Result: none. Cost: a scan of the findings.
UPDATE findings
SET last_seen = $3
WHERE subject = ANY ($1::text[]) AND kind = ANY ($2::text[]) AND state = 'open'
