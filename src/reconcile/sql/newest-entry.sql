-- When the books of an account moved last.
-- $1 account id. Result: created_at, or no row. Cost: one index look-up.
SELECT created_at FROM ledger_entries WHERE account_id = $1 ORDER BY seq DESC LIMIT 1
