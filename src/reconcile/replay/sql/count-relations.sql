-- Whether a database has anything in it, and whether it is one of ours.
-- Parameters: none. Result: relations (tables, views and sequences of the schema in use), is_ours,
-- has_events. Cost: a scan of the catalog.
SELECT (SELECT count(*) FROM pg_class
        WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
          AND relnamespace = current_schema()::regnamespace) AS relations,
       to_regclass('schema_migrations') IS NOT NULL AND to_regclass('accounts') IS NOT NULL
         AS is_ours,
       to_regclass('stripe_events') IS NOT NULL AS has_events
