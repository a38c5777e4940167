-- Usage of some accounts that waits to be told to Stripe, by meter: receipts that are not sealed
-- and reports that are not sent. What comes to nothing is left out.
-- Parameters: $1 account to start after, $2 last account, $3 used before this.
-- Result: account_id, customer_id or null, name (meter or event), stage, rows, value (units),
-- overage_micros, oldest, stopped: why the meter or the customer takes nothing, or null.
-- Cost: what waits.
SELECT w.*, a.stripe_customer_id AS customer_id,
       (SELECT string_agg(s.reason, '; ' ORDER BY s.kind) FROM meter_stops s
        WHERE (s.kind = 'customer' AND s.name = a.stripe_customer_id)
           OR (s.kind = 'meter' AND s.name = w.name)) AS stopped
FROM (
  SELECT account_id, meter AS name, 'unsealed' AS stage, count(*) AS rows,
         trunc(sum(quantity) / 1000000)::text AS value,
         sum(overage_micros)::bigint AS overage_micros, min(used_at) AS oldest
  FROM meter_outbox
  WHERE sealing_id IS NULL AND account_id > $1 AND account_id <= $2
    AND used_at < $3::timestamptz AND created_at < $3::timestamptz
  GROUP BY account_id, meter
  HAVING sum(quantity) <> 0 OR sum(overage_micros) <> 0
  UNION ALL
  SELECT account_id, event_name, 'unsent', count(*), sum(value)::text,
         sum(overage_micros)::bigint, min(at)
  FROM meter_reports
  WHERE state = 'ready' AND account_id > $1 AND account_id <= $2 AND sealed_at < $3::timestamptz
  GROUP BY account_id, event_name
) w
JOIN accounts a ON a.id = w.account_id
ORDER BY w.account_id, w.stage, w.name
