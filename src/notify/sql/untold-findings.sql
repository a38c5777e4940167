-- Findings that no operator was told of: urgent ones, and prices that nothing of ours has, of which
-- it is not known whether somebody waits for credits.
-- Parameters: $1 first seen after, $2 most rows. Result: oldest first.
-- Cost: a scan of the open findings, one index probe each.
SELECT f.id, f.kind, f.severity, f.subject, f.first_seen
FROM findings f
WHERE f.state = 'open' AND (f.severity = 'urgent' OR f.kind = 'stripe_unknown_price')
  AND f.first_seen > $1::timestamptz
  AND NOT EXISTS (SELECT FROM notifications n WHERE n.occasion = 'finding:' || f.id::text)
ORDER BY f.first_seen
LIMIT $2
