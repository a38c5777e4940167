-- What the ledger says of the sales of some accounts: granted, and taken back in all. Ids of lots
-- and the number of steps in which something was taken are left out: they are of one history.
-- Parameters: $1 account ids. Result: account_id, key, granted, taken, kind and expires_at (of its
-- lot; null = it has none). Cost: reads the entries of these accounts.
SELECT e.account_id, e.reference_id AS key,
       coalesce(sum(e.micros) FILTER (WHERE e.movement_type = 'grant'), 0)::bigint AS granted,
       coalesce(-sum(e.micros) FILTER (WHERE e.op_id ~ '^sale:[^#]*#[0-9]+$'), 0)::bigint AS taken,
       l.kind, l.expires_at
FROM ledger_entries e
LEFT JOIN lots l ON l.account_id = e.account_id AND l.reference_type = 'sale'
                AND l.reference_id = e.reference_id
WHERE e.account_id = ANY ($1::text[]) AND e.reference_type = 'sale'
GROUP BY e.account_id, e.reference_id, l.kind, l.expires_at
ORDER BY e.account_id, e.reference_id
