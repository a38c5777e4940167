-- Findings that no operator was told of since they opened: urgent ones, and prices that nothing of
-- ours has, of which it is not known whether somebody waits for credits.
-- Parameters: $1 opened after, $2 most rows. Result: oldest first, with the occasion.
-- Cost: a scan of the open findings, one index probe each.
SELECT f.id, f.kind, f.severity, f.subject, f.opened_at, o.occasion
FROM findings f
CROSS JOIN LATERAL (
  SELECT 'finding:' || f.id::text
         || CASE WHEN f.openings = 1 THEN '' ELSE ':' || f.openings::text END AS occasion
) o
WHERE f.state = 'open' AND (f.severity = 'urgent' OR f.kind = 'stripe_unknown_price')
  AND f.opened_at > $1::timestamptz
  AND NOT EXISTS (SELECT FROM notifications n WHERE n.occasion = o.occasion)
ORDER BY f.opened_at
LIMIT $2
