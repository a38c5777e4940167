-- Whether one of some things was looked at.
-- Parameters: $1 subjects, $2 since when. Result: no row or one. Cost: some index look-ups.
SELECT subject FROM stripe_looks
WHERE subject = ANY ($1::text[]) AND looked_at >= $2::timestamptz
LIMIT 1
