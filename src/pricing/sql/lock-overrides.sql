-- Lets one writer of overrides at a time through, until its transaction ends.
-- Parameters: none. Result: one row without meaning. Cost: one lock in memory.
SELECT pg_advisory_xact_lock(hashtextextended('farebox prices', 0))
