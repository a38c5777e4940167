-- Makes the record of applied migrations where there is none.
-- Parameters: none. Result: none. Cost: a catalog look-up.
CREATE TABLE IF NOT EXISTS schema_migrations (
  name       text PRIMARY KEY,
  checksum   text NOT NULL,
  applied_at timestamptz NOT NULL
)
