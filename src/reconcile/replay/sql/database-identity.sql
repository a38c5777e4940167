-- Which database this is, by whatever name it was reached.
-- Parameters: none. Result: server (its start, which no other server shares), database (name and
-- oid). Cost: a catalog look-up.
SELECT pg_postmaster_start_time()::text AS server,
       d.datname || '/' || d.oid::text AS database
FROM pg_database d
WHERE d.datname = current_database()
