-- Notes a receipt that can never be posted. Again: only seen again.
-- Parameters: $1 id, $2 subject (hold id and rev), $3 evidence JSON, $4 time.
-- Result: none. Cost: one row.
INSERT INTO findings (id, kind, severity, subject, evidence, first_seen, last_seen)
VALUES ($1, 'unpostable_receipt', 'urgent', $2, $3, $4, $4)
ON CONFLICT (kind, subject) DO UPDATE SET last_seen = excluded.last_seen
