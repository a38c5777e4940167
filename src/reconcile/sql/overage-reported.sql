-- The overage line of some accounts and all that is told of it, or will be: receipts that are not
-- sealed, reports that no invoice has closed, and what invoices billed ahead of the line.
-- Parameters: $1 account to start after, $2 last account.
-- Result: one row an account: id, overage_micros, told_micros, unsealed_micros, surplus_micros.
-- Cost: the reports of those accounts.
SELECT a.id, a.overage_micros, coalesce(r.micros, 0) AS told_micros,
       coalesce(o.micros, 0) AS unsealed_micros, coalesce(s.micros, 0) AS surplus_micros
FROM accounts a
CROSS JOIN LATERAL (
  SELECT sum(overage_micros)::bigint AS micros FROM meter_reports
  WHERE account_id = a.id AND billed_by IS NULL AND successor IS NULL AND state <> 'replaced'
) r
CROSS JOIN LATERAL (
  SELECT sum(overage_micros)::bigint AS micros FROM meter_outbox
  WHERE account_id = a.id AND sealing_id IS NULL
) o
CROSS JOIN LATERAL (
  SELECT sum(micros)::bigint AS micros FROM meter_surplus WHERE account_id = a.id
) s
WHERE a.id > $1 AND a.id <= $2
