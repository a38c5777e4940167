-- What a receipt's price_version stands for.
-- Parameters: $1 version.
-- Result: version, source, upstream, model, document jsonb, created_at, retired_at; or no row.
-- Cost: one index probe.
SELECT version, source, upstream, model, document, created_at, retired_at
FROM prices
WHERE version = $1
