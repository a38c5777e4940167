-- Notes that a key comes with a purchase. A purchase that has one stays as it is.
-- Parameters: $1 id, $2 purchase, $3 account id, $4 kind and $5 id of what was bought, $6 limits
-- JSON, $7 time. Result: one row where it is new. Cost: one row.
INSERT INTO key_claims (id, purchase, account_id, item_kind, item_id, limits, state, created_at)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, 'open', $7::timestamptz)
ON CONFLICT (purchase) DO NOTHING
RETURNING id
