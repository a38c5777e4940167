-- I9 for a range of holds: what a hold's revs moved is its highest rev's amount. Reversals by an
-- operator count apart (reference type 'reversal'), and what a hold reinstated or expired moves no
-- charge.
-- Parameters: $1 account id and $2 hold id to start after, $3 account id and $4 hold id of the
-- last. Result: the holds where it is not. Cost: an index range, and a probe for each hold; by its
-- op ids alone, else Postgres may read all of the account's entries for each.
SELECT c.account_id, c.hold_id::text AS hold_id, c.micros AS charged_micros,
       coalesce(m.micros, 0) AS moved_micros
FROM (
  SELECT DISTINCT ON (account_id, hold_id) account_id, hold_id, micros
  FROM usage
  WHERE (account_id, hold_id) > ($1, $2::uuid) AND (account_id, hold_id) <= ($3, $4::uuid)
  ORDER BY account_id, hold_id, rev DESC
) c
CROSS JOIN LATERAL (
  SELECT (-sum(e.micros) FILTER (
           WHERE e.account_id = c.account_id AND e.reference_type = 'usage'
             AND e.movement_type IN ('usage', 'reversal')))::bigint AS micros
  FROM ledger_entries e
  WHERE e.op_id >= c.hold_id::text || ':' COLLATE "C"
    AND e.op_id < c.hold_id::text || ';' COLLATE "C"
) m
WHERE c.micros <> coalesce(m.micros, 0)
ORDER BY c.account_id, c.hold_id
LIMIT 1000
