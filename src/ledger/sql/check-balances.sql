-- I1 for a page of accounts: Σ entries = Σ lots remaining − debt − overage = posted, and entries
-- are numbered without a gap.
-- Parameters: $1 account id to start after, $2 most accounts. Result: one row an account, in id
-- order. Cost: reads all entries and lots of those accounts.
SELECT a.id, a.posted_micros, a.debt_micros, a.overage_micros, a.entry_seq,
       l.remaining AS lots_micros, e.micros AS entries_micros, e.entries, e.last_seq
FROM (SELECT * FROM accounts WHERE id > $1 ORDER BY id LIMIT $2) a
CROSS JOIN LATERAL (
  SELECT coalesce(sum(remaining_micros), 0)::bigint AS remaining
  FROM lots WHERE account_id = a.id
) l
CROSS JOIN LATERAL (
  SELECT coalesce(sum(micros), 0)::bigint AS micros, count(*) AS entries,
         coalesce(max(seq), 0) AS last_seq
  FROM ledger_entries WHERE account_id = a.id
) e
ORDER BY a.id
