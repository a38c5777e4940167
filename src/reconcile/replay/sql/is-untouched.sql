-- Whether nobody has used a database of ours yet.
-- Parameters: none. Result: is_untouched. Cost: a look into three tables.
SELECT NOT EXISTS (SELECT FROM accounts) AND NOT EXISTS (SELECT FROM ledger_entries)
       AND NOT EXISTS (SELECT FROM api_keys) AS is_untouched
