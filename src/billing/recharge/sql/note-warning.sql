-- Keeps that a fraud warning was acted upon. Parameters: $1 id, $2 account id, $3 now.
-- Result: no row where it was before. Cost: one row.
INSERT INTO stripe_warnings (id, account_id, noted_at)
VALUES ($1, $2, $3)
ON CONFLICT (id) DO NOTHING
RETURNING id
