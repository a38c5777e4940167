-- Another report takes the place of one that Stripe does not have.
-- Parameters: $1 report id, $2 states that allow it, $3 note, $4 id of the other.
-- Result: a row if it was so. Cost: one row.
UPDATE meter_reports SET state = 'replaced', note = $3, sent_at = NULL, successor = $4
WHERE id = $1 AND state = ANY ($2::text[])
RETURNING id
