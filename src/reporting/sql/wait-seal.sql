-- As lock-seal, and waits for it. Parameters: $1 account id. Result: none. Cost: none.
SELECT pg_advisory_xact_lock(hashtextextended('meter ' || $1::text, 0))
