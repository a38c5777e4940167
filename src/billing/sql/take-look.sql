-- Counts a look, where nobody else's was written since it began; holds the row until the end of
-- the transaction. Parameters: $1 subject, $2 number read before (0 = none), $3 now.
-- Result: no row where somebody's was. Cost: one row.
INSERT INTO stripe_looks AS l (subject, number, looked_at)
VALUES ($1, 1, $3)
ON CONFLICT (subject) DO UPDATE SET number = l.number + 1, looked_at = excluded.looked_at
WHERE l.number = $2
RETURNING number
