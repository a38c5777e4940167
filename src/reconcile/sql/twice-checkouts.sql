-- Checkouts of packs and what they granted.
-- Parameters: $1 changed before, $2 most rows. Result: those where one says granted and the other
-- does not. Cost: reads all checkouts, one index probe each.
SELECT c.id, c.account_id, c.session_id, c.state, c.micros, s.key
FROM checkout_sessions c
LEFT JOIN stripe_sales s ON s.key = 'checkout:' || c.session_id
WHERE c.item_kind = 'pack' AND c.changed_at < $1::timestamptz
  AND (c.state = 'granted') <> (s.key IS NOT NULL)
ORDER BY c.id
LIMIT $2
