-- A cancel and the event that it was to take back, which Stripe never counted: neither is needed.
-- Parameters: $1 id of the cancel, $2 note. Result: none. Cost: two rows.
UPDATE meter_reports r SET state = 'replaced', note = $2
FROM meter_reports c
WHERE c.id = $1 AND c.state = 'ready'
  AND (r.id = c.id OR (r.id = c.cancels AND r.state = 'refused'))
