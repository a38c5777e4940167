-- Whether there is a record of applied migrations.
-- Parameters: none. Result: is_there. Cost: a catalog look-up.
SELECT to_regclass('schema_migrations') IS NOT NULL AS is_there
