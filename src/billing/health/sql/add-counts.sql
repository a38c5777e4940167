-- Adds what one process counted. Parameters: $1 minutes, $2 names, $3 counts (as many), in the
-- order of minutes and names so that two processes never wait for each other in a circle.
-- Result: none. Cost: one row each.
INSERT INTO stripe_counts AS c (minute, name, count)
SELECT n.minute::timestamptz, n.name, n.count
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n (minute, name, count)
ON CONFLICT (minute, name) DO UPDATE SET count = c.count + excluded.count
