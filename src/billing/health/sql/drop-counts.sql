-- Forgets what no alert looks back at. Parameters: $1 counted before. Result: none.
-- Cost: a day's rows once, then a few.
DELETE FROM stripe_counts WHERE minute < $1::timestamptz
