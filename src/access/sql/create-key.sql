-- Adds a key. Does nothing where the id is taken (a repeated request) or the account is unknown.
-- $1 id, $2 account id (null for a backend key), $3 kind, $4 name, $5 prefix, $6 SHA-256 of the
-- secret, $7 models (JSON or null), $8 endpoints (JSON or null), $9 budget micros, $10 period,
-- $11 requests a minute, $12 tokens a minute, $13 requests at once, $14 expires at, $15 now.
-- Result: one row (the key) or none. Cost: O(log keys).
INSERT INTO api_keys (id, account_id, kind, name, prefix, hash, models, endpoints, budget_micros,
                      budget_period, requests_per_minute, tokens_per_minute, max_concurrency,
                      expires_at, change_seq, changed_at, created_at)
SELECT $1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9::bigint, $10, $11::integer, $12::bigint,
       $13::integer, $14::timestamptz, 1, $15::timestamptz, $15::timestamptz
 WHERE $2::text IS NULL OR EXISTS (SELECT 1 FROM accounts WHERE id = $2)
ON CONFLICT (id) DO NOTHING
RETURNING *
