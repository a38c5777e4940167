-- Ends what rules for one kind, upstream and model. Needs lock-overrides.
-- Parameters: $1 retired_at timestamptz, $2 kind 'cost'|'sell', $3 upstream text|null,
-- $4 model text|null.
-- Result: version of each row that was retired. Cost: a scan of `prices`.
UPDATE prices
SET retired_at = $1
WHERE source = 'admin' AND retired_at IS NULL AND document ->> 'kind' = $2
  AND upstream IS NOT DISTINCT FROM $3 AND model IS NOT DISTINCT FROM $4
RETURNING version
