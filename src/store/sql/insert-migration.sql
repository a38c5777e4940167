-- Records one applied migration.
-- Parameters: $1 name, $2 sha256 of its up.sql in hex, $3 time. Result: none. Cost: one row.
INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ($1, $2, $3)
