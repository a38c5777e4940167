-- Migrations that this database has. No parameters. Result: name. Cost: none worth naming.
SELECT name FROM schema_migrations ORDER BY name
