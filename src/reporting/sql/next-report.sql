-- The report that a lane sends next: what was tried before the others, then in order of sealing.
-- Renews the lease. Parameters: $1 customer, $2 event name, $3 lease, $4 its new end.
-- Result: no row = the lease is lost; else one, with id null where there is nothing to send.
-- Cost: a partial index range and some probes.
WITH held AS (
  UPDATE meter_lanes SET due_at = $4
  WHERE customer_id = $1 AND event_name = $2 AND lease = $3
  RETURNING customer_id
)
SELECT r.id, r.identifier, r.account_id, r.customer_id, r.event_name, r.dimensions, r.kind, r.value,
       r.overage_micros, r.at, r.tries, r.first_tried_at, r.last_tried_at, r.refusal, r.successor,
       t.identifier AS canceled,
       CASE WHEN t.billed_by IS NULL THEN t.state ELSE 'billed' END AS canceled_state,
       g.reason AS gone, a.meter_plan IS NOT NULL AS is_metered,
       EXISTS (SELECT FROM meter_reports c
               WHERE c.account_id = r.account_id AND c.meter = r.meter
                 AND c.dimensions = r.dimensions AND c.slot_at = r.slot_at
                 AND c.rev = r.rev - 1 AND c.part = 0
                 AND c.kind = 'cancel' AND c.state = 'replaced') AS is_of_moved_cancel,
       (SELECT p.invoice_id FROM meter_periods p
        WHERE p.account_id = r.account_id AND p.event_name = r.event_name
          AND p.finalized_at IS NOT NULL AND p.start_at <= r.at AND r.at < p.end_at
        LIMIT 1) AS final
FROM held
LEFT JOIN LATERAL (
  SELECT * FROM meter_reports
  WHERE customer_id = $1 AND event_name = $2 AND state = 'ready'
  ORDER BY (first_tried_at IS NULL), seq LIMIT 1) r ON true
LEFT JOIN accounts a ON a.id = r.account_id
LEFT JOIN meter_reports t ON t.id = r.cancels
LEFT JOIN meter_stops g ON g.kind = 'customer' AND g.name = r.customer_id
