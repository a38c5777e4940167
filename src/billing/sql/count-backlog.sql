-- Events that wait, and those that were given up.
-- Parameters: none. Result: pending, dead, oldest (when the longest waiting came, null = none).
-- Cost: a scan of a partial index.
SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       min(received_at) FILTER (WHERE state = 'pending') AS oldest
FROM stripe_events
WHERE state IN ('pending', 'dead')
