-- Lets one process migrate at a time; given back at the end of the transaction.
-- Parameters: none. The number is arbitrary, fixed for good.
-- Result: one row without meaning. Cost: waits for another migrating process.
SELECT pg_advisory_xact_lock(7215930482651)
