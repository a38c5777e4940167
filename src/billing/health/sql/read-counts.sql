-- What was counted lately, and deliveries that nobody has taken up.
-- Parameters: $1 counted since, $2 waiting since before. Result: name, count.
-- Cost: a few minutes' rows, a range of the partial index of what waits.
SELECT name, sum(count)::bigint AS count FROM stripe_counts
WHERE minute >= $1::timestamptz GROUP BY name
UNION ALL
SELECT 'waiting', count(*) FROM stripe_events
WHERE state = 'pending' AND NOT by_hand AND due_at <= $2::timestamptz AND attempts = 0
