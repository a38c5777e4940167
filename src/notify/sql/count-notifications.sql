-- What waits and what was given up. Parameters: none. Result: one row.
-- Cost: the partial index of what waits, and a scan of the rest.
SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'dead') AS dead
FROM notifications
WHERE state IN ('pending', 'dead')
