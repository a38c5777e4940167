-- Lets one process at a time seal an account's usage, until the transaction ends.
-- Parameters: $1 account id. Result: one row, is_mine. Cost: none.
SELECT pg_try_advisory_xact_lock(hashtextextended('meter ' || $1::text, 0)) AS is_mine
