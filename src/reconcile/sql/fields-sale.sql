-- What kind of credits a sale granted and until when: as sold, and on its lot.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: reads the sales.
SELECT s.key AS subject, s.account_id, concat_ws(' ', s.kind, s.expires_at) AS one,
       concat_ws(' ', l.kind, l.expires_at) AS other
FROM stripe_sales s
JOIN lots l ON l.account_id = s.account_id AND l.reference_type = 'sale'
  AND l.reference_id = s.key
WHERE s.account_id > $1 AND s.account_id <= $2 AND s.created_at < $3::timestamptz
  AND (l.kind <> s.kind OR l.expires_at IS DISTINCT FROM s.expires_at)
ORDER BY s.key
LIMIT 1000
