-- Events that Stripe took and then refused. Parameters: $1 identifiers, $2 notes (as many).
-- Result: one row a report: identifier, event_name, customer_id, value, overage_micros, billed_by.
-- Cost: an index look-up each.
UPDATE meter_reports r SET state = 'refused', note = n.note, sent_at = NULL
FROM unnest($1::text[], $2::text[]) AS n (identifier, note)
WHERE r.identifier = n.identifier AND r.state IN ('ready', 'sent', 'unclear')
RETURNING r.identifier, r.event_name, r.customer_id, r.value, r.overage_micros, r.billed_by
