-- Findings that no operator was told of since they opened: urgent ones, and prices that nothing of
-- ours has, of which it is not known whether somebody waits for credits.
-- Parameters: $1 opened after, $2 most rows, $3 told after (to be counted).
-- Result: first one of each kind, then the second ones, oldest first, with the occasion; waiting:
-- how many there are, told: how many findings operators were told of since then.
-- Cost: a scan of the open findings, one index probe each; where there are any, the notifications.
SELECT u.id, u.kind, u.severity, u.subject, u.opened_at, u.occasion, count(*) OVER () AS waiting,
       (SELECT count(DISTINCT n.occasion) FROM notifications n
        WHERE n.kind = 'operator_alert' AND n.created_at > $3::timestamptz
          AND n.occasion LIKE 'finding:%') AS told
FROM (
  SELECT f.id, f.kind, f.severity, f.subject, f.opened_at, o.occasion,
         row_number() OVER (PARTITION BY f.kind ORDER BY f.opened_at, f.id) AS place
  FROM findings f
  CROSS JOIN LATERAL (
    SELECT 'finding:' || f.id::text
           || CASE WHEN f.openings = 1 THEN '' ELSE ':' || f.openings::text END AS occasion
  ) o
  WHERE f.state = 'open' AND (f.severity = 'urgent' OR f.kind = 'stripe_unknown_price')
    AND f.opened_at > $1::timestamptz
    AND NOT EXISTS (SELECT FROM notifications n WHERE n.occasion = o.occasion)
) u
ORDER BY u.place, u.opened_at
LIMIT $2
