-- Debt and overage of an account and the entries they are the sum of; versions and receipts.
-- Parameters: $1 account to start after, $2 most accounts.
-- Result: one row an account of the page; cost: reads their entries below zero and receipts.
SELECT a.id, a.debt_micros, a.overage_micros, a.version,
       coalesce(-e.debt, 0) AS entries_debt, coalesce(-e.overage, 0) AS entries_overage,
       coalesce(u.version, 0) AS receipts_version
FROM (SELECT * FROM accounts WHERE id > $1 ORDER BY id LIMIT $2) a
CROSS JOIN LATERAL (
  SELECT sum(micros) FILTER (WHERE line = 'debt')::bigint AS debt,
         sum(micros) FILTER (WHERE line = 'overage')::bigint AS overage
  FROM ledger_entries WHERE account_id = a.id AND line <> 'lot'
) e
CROSS JOIN LATERAL (SELECT max(version) AS version FROM usage WHERE account_id = a.id) u
ORDER BY a.id
