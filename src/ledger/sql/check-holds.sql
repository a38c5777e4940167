-- I9: what a hold's revs moved is its highest rev's amount. Reversals by an operator count apart
-- (reference type 'reversal'), and what a hold reinstated or expired moves no charge.
-- Parameters: $1 account id to start after, $2 last account id. Result: the holds where it is not;
-- charged_micros is null where entries have no receipt. Cost: reads usage and entries of those
-- accounts.
WITH charged AS (
  SELECT DISTINCT ON (hold_id) hold_id::text AS hold_id, account_id, micros
  FROM usage
  WHERE account_id > $1 AND account_id <= $2
  ORDER BY hold_id, rev DESC
), moved AS (
  SELECT reference_id AS hold_id, account_id, -sum(micros)::bigint AS micros
  FROM ledger_entries
  WHERE account_id > $1 AND account_id <= $2
    AND reference_type = 'usage' AND movement_type IN ('usage', 'reversal')
  GROUP BY reference_id, account_id
)
SELECT coalesce(c.account_id, m.account_id) AS account_id,
       coalesce(c.hold_id, m.hold_id) AS hold_id,
       c.micros AS charged_micros, coalesce(m.micros, 0) AS moved_micros
FROM charged c
FULL JOIN moved m ON m.hold_id = c.hold_id AND m.account_id = c.account_id
WHERE c.micros IS DISTINCT FROM coalesce(m.micros, 0)
ORDER BY 1, 2
LIMIT 1000
