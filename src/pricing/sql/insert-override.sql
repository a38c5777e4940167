-- Adds an override that rules from now on. Needs lock-overrides.
-- Parameters: $1 version, $2 upstream text|null, $3 model text|null, $4 document jsonb text,
-- $5 created_at timestamptz.
-- Result: none. Cost: one row.
INSERT INTO prices (version, source, upstream, model, document, created_at)
VALUES ($1, 'admin', $2, $3, $4, $5)
