-- Changes what a key may do. A revoked key stays as it is.
-- $1 key id, $2 name, $3 models, $4 endpoints, $5 budget micros, $6 period, $7 requests a minute,
-- $8 tokens a minute, $9 requests at once, $10 expires at, $11 now: all fields as they shall be.
-- Result: the key, or none where it is unknown or revoked. Cost: O(log keys).
UPDATE api_keys
   SET name = $2, models = $3::jsonb, endpoints = $4::jsonb, budget_micros = $5::bigint,
       budget_period = $6, requests_per_minute = $7::integer, tokens_per_minute = $8::bigint,
       max_concurrency = $9::integer, expires_at = $10::timestamptz,
       change_seq = change_seq + 1, changed_at = greatest(changed_at, $11::timestamptz)
 WHERE id = $1 AND status = 'active'
RETURNING *
