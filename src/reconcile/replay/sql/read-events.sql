-- A page of stored events, in the order of their arrival.
-- Parameters: $1 seq to start after, $2 most rows. Result: seq, payload, source, outcome (why it
-- is not worked on; null = it is). Cost: an index range.
SELECT seq, payload, source, CASE WHEN state = 'ignored' THEN outcome END AS outcome
FROM stripe_events
WHERE seq > $1
ORDER BY seq
LIMIT $2
