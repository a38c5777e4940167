-- Closes what a comparison of costs did not see any more.
-- Parameters: $1 kinds, $2 start of the comparison, $3 provider, $4 days (like 2027-01-31).
-- Result: none. Cost: a scan of the findings.
UPDATE findings
SET state = 'gone'
WHERE kind = ANY ($1::text[]) AND state = 'open' AND last_seen < $2::timestamptz
  AND evidence->>'provider' = $3 AND evidence->>'day' = ANY ($4::text[])
