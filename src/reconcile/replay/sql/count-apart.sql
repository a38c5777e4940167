-- Entries of some accounts that are not Stripe's: usage, what operators gave and took, expiry. What
-- invoices closed is compared apart.
-- Parameters: $1 account ids. Result: reference_type, movement_type, entries, micros.
-- Cost: reads the entries of these accounts.
SELECT reference_type, movement_type, count(*) AS entries, sum(micros)::bigint AS micros
FROM ledger_entries
WHERE account_id = ANY ($1::text[]) AND movement_type <> 'billed'
  AND NOT (reference_type = 'sale'
           AND (movement_type = 'grant' OR op_id ~ '^sale:[^#]*#[0-9]+$'))
GROUP BY reference_type, movement_type
