-- Takes due usage of an account into a sealing and sums it by meter, dimensions and slot: the hour,
-- or what of it lies after the end of a period that ended in it.
-- Parameters: $1 account id, $2 due before, $3 sealing id, $4 most rows.
-- Result: meter, dimensions, slot_at, used_at (of the last), quantity, overage_micros, rows.
-- Cost: an index range, one row each.
WITH due AS (
  SELECT id FROM meter_outbox
  WHERE account_id = $1 AND sealing_id IS NULL AND used_at < $2::timestamptz
  ORDER BY used_at
  LIMIT $4
), taken AS (
  UPDATE meter_outbox o SET sealing_id = $3
  FROM due WHERE o.id = due.id
  RETURNING o.meter, o.dimensions, o.used_at, o.quantity, o.overage_micros
), borders AS (
  SELECT current_period_start AS at FROM subscriptions WHERE account_id = $1
  UNION SELECT current_period_end FROM subscriptions WHERE account_id = $1
  UNION SELECT start_at FROM meter_periods WHERE account_id = $1
  UNION SELECT end_at FROM meter_periods WHERE account_id = $1
)
SELECT meter, dimensions, s.slot_at, max(used_at) AS used_at, sum(quantity) AS quantity,
       sum(overage_micros)::bigint AS overage_micros, count(*) AS rows
FROM taken t
CROSS JOIN LATERAL (SELECT date_bin('1 hour', t.used_at, '2000-01-01Z') AS hour_at) h
CROSS JOIN LATERAL (
  SELECT greatest(h.hour_at, (SELECT max(b.at) FROM borders b WHERE b.at <= t.used_at)) AS slot_at
) s
GROUP BY meter, dimensions, s.slot_at
ORDER BY s.slot_at, meter, dimensions
