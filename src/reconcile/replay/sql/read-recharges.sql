-- A page of what customers allowed.
-- Parameters: $1 account id to start after, $2 most rows. Result: one row: count, last (account
-- id), rows (JSON as text; null = none). Cost: an index range.
SELECT count(*) AS count, max(account_id) AS last, json_agg(r)::text AS rows
FROM (SELECT account_id, reason, changed_at
      FROM recharges WHERE account_id > $1 ORDER BY account_id LIMIT $2) r
