-- One report with its series. Parameters: $1 report id.
-- Result: no row or one; open_micros: its overage, where no invoice has closed that; payer_id: its
-- customer, or where that is gone from Stripe the one that its account has now; is_gone.
-- Cost: three index look-ups.
SELECT r.id, r.identifier, r.account_id, r.customer_id, r.meter, r.event_name, r.dimensions,
       r.slot_at, r.kind, r.value, r.at, r.state, r.successor,
       CASE WHEN r.billed_by IS NULL THEN r.overage_micros ELSE 0 END AS open_micros,
       CASE WHEN g.name IS NULL THEN r.customer_id
            ELSE coalesce(a.stripe_customer_id, r.customer_id) END AS payer_id,
       g.name IS NOT NULL AS is_gone
FROM meter_reports r
LEFT JOIN accounts a ON a.id = r.account_id
LEFT JOIN meter_stops g ON g.kind = 'customer' AND g.name = r.customer_id
WHERE r.id = $1
