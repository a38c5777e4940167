-- Lots that can pay: those with something left, and those whose expiry was posted after a reserve.
-- Parameters: $1 account ids, $2 earliest reserve of each account (same order).
-- Result: one row a lot. Cost: two partial index scans an account; spent lots without an end are
-- not visited.
SELECT l.id, l.account_id, l.kind, l.priority, l.state, l.granted_micros, l.remaining_micros,
       l.expired_micros, l.effective_at, l.expires_at, l.expired_at, l.reason, l.reference_type,
       l.reference_id, l.created_at
FROM unnest($1::text[], $2::timestamptz[]) AS w (account_id, since)
CROSS JOIN LATERAL (
  SELECT * FROM lots WHERE account_id = w.account_id AND is_open AND remaining_micros > 0
  UNION ALL
  SELECT * FROM lots WHERE account_id = w.account_id AND expired_micros > 0
                       AND expired_at > w.since AND remaining_micros = 0
) l
