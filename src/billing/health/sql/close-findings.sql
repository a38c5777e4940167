-- Closes findings of a kind that were not seen for a while: when seen again they are news again.
-- Parameters: $1 kinds, $2 last seen before. Result: none. Cost: a scan of the findings.
UPDATE findings SET state = 'gone'
WHERE kind = ANY ($1::text[]) AND state = 'open' AND last_seen < $2::timestamptz
