-- Which migrations are applied.
-- Parameters: none. Result: name, checksum (sha256 of up.sql, hex). Cost: a few rows.
SELECT name, checksum FROM schema_migrations ORDER BY name
