-- How Postgres is set up and what time it has.
-- No parameters. Result: one row. Cost: none worth naming.
SELECT current_setting('server_version_num')::integer AS version,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       pg_is_in_recovery() AS is_replica,
       clock_timestamp() AS now
