-- An account's lines and its lots with something left, at one point in time.
-- Parameters: $1 account id. Result: one row a lot; without lots one row with nulls; none where
-- there is no such account. Cost: one look-up and one partial index scan.
SELECT a.posted_micros, a.debt_micros, a.overage_micros,
       l.id, l.account_id, l.kind, l.priority, l.state, l.granted_micros, l.remaining_micros,
       l.expired_micros, l.effective_at, l.expires_at, l.expired_at, l.reason, l.reference_type,
       l.reference_id, l.created_at
FROM accounts a
LEFT JOIN lots l ON l.account_id = a.id AND l.is_open AND l.remaining_micros > 0
WHERE a.id = $1
