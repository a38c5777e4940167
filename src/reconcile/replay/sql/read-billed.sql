-- Overage of some accounts that invoices closed.
-- Parameters: $1 account ids. Result: account_id, customer (of Stripe's), invoice, micros, entries.
-- Cost: reads the entries of these accounts.
SELECT e.account_id, a.stripe_customer_id AS customer, e.reference_id AS invoice,
       sum(e.micros)::bigint AS micros, count(*) AS entries
FROM ledger_entries e
JOIN accounts a ON a.id = e.account_id
WHERE e.account_id = ANY ($1::text[]) AND e.movement_type = 'billed'
GROUP BY e.account_id, a.stripe_customer_id, e.reference_id
ORDER BY e.account_id, e.reference_id
