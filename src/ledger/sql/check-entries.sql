-- What a range of entries comes to, by account and line; of lots also what expiry took and was not
-- brought back.
-- Parameters: $1 account id and $2 number to start after, $3 account id and $4 number of the last.
-- Result: account_id, line, lot_id, micros, expired, entries, last_seq. Cost: an index range.
SELECT account_id, line, lot_id, sum(micros)::bigint AS micros,
       coalesce(-sum(micros) FILTER (
         WHERE movement_type = 'expiry'
            OR (movement_type = 'reinstatement' AND op_id LIKE '%:reinstate')
       ), 0)::bigint AS expired,
       count(*) AS entries, max(seq) AS last_seq
FROM ledger_entries
WHERE (account_id, seq) > ($1, $2::bigint) AND (account_id, seq) <= ($3, $4::bigint)
GROUP BY account_id, line, lot_id
