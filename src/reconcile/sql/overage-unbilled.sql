-- Overage of some accounts that Stripe was told and that no invoice has closed although its period
-- is over: the subscription has no price of the meter, its draft was deleted or never made final,
-- or nobody heard of the invoice. What a final invoice left out is told when that is looked at.
-- A subscription that was over before ends no period: Stripe keeps the end its last would have had.
-- Parameters: $1 account to start after, $2 last account, $3 periods that ended before this have
-- been invoiced, $4 used before this where nothing says when its period ended, $5 most names.
-- Result: account_id, customer_id, event_name, reports, value (units), overage_micros, oldest,
-- draft: an invoice of that time that is not final, or null; names: identifiers of the reports.
-- Cost: the reports of those accounts.
SELECT r.account_id, max(r.customer_id) AS customer_id, r.event_name, count(*) AS reports,
       sum(r.value)::text AS value, sum(r.overage_micros)::bigint AS overage_micros,
       min(r.at) AS oldest, max(p.invoice_id) AS draft,
       (array_agg(r.identifier ORDER BY r.seq) FILTER (WHERE r.state = 'sent'))[1:$5] AS names
FROM meter_reports r
LEFT JOIN LATERAL (
  SELECT q.invoice_id, q.finalized_at, q.end_at FROM meter_periods q
  WHERE q.account_id = r.account_id AND q.event_name = r.event_name
    AND q.start_at <= r.at AND r.at < q.end_at
  ORDER BY q.finalized_at LIMIT 1) p ON true
LEFT JOIN LATERAL (
  SELECT min(b.at) AS at
  FROM subscriptions u
  CROSS JOIN LATERAL (VALUES (u.current_period_start), (u.current_period_end)) b (at)
  WHERE u.account_id = r.account_id AND b.at > r.at
    AND (u.ended_at IS NULL OR u.ended_at > r.at)) s ON true
WHERE r.account_id > $1 AND r.account_id <= $2 AND r.state IN ('sent', 'nothing')
  AND r.billed_by IS NULL AND r.successor IS NULL AND r.overage_micros <> 0
  AND p.finalized_at IS NULL
  AND CASE WHEN coalesce(p.end_at, s.at) IS NULL THEN r.at < $4::timestamptz
           ELSE coalesce(p.end_at, s.at) < $3::timestamptz END
GROUP BY r.account_id, r.event_name
HAVING sum(r.value) <> 0 AND sum(r.overage_micros) <> 0
ORDER BY r.account_id, r.event_name
