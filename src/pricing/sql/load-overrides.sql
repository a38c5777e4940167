-- What operators wrote through the admin API and still rules, oldest first.
-- Parameters: none.
-- Result: version text, upstream text|null, model text|null, document jsonb, created_at.
-- Cost: a scan of `prices` (some thousand rows; versions in use are kept there too).
SELECT version, upstream, model, document, created_at
FROM prices
WHERE source = 'admin' AND retired_at IS NULL AND document ->> 'kind' IN ('cost', 'sell')
ORDER BY created_at, version
