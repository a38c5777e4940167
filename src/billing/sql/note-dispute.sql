-- Keeps a dispute as it was just seen.
-- Parameters: $1 id, $2 payment id, $3 account id, $4 status, $5 amount, $6 withdrawn,
-- $7 is freezing, $8 now. Result: was_freezing (null = it is new). Cost: two look-ups, one row.
WITH before AS (
  SELECT is_freezing FROM stripe_disputes WHERE id = $1
)
INSERT INTO stripe_disputes (id, payment_id, account_id, status, amount, withdrawn, is_freezing,
                             changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE
SET status = excluded.status, amount = excluded.amount, withdrawn = excluded.withdrawn,
    is_freezing = excluded.is_freezing, changed_at = excluded.changed_at
RETURNING (SELECT is_freezing FROM before) AS was_freezing
