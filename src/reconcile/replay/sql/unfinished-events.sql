-- Events that nobody could work off.
-- Parameters: $1 most rows. Result: id, type, outcome. Cost: a partial index range.
SELECT id, type, coalesce(outcome, '') AS outcome
FROM stripe_events
WHERE state IN ('pending', 'dead')
ORDER BY seq
LIMIT $1
