-- What an account allowed, locked, with what decides whether it is wanted.
-- Parameters: $1 account id. Result: no row or one. Cost: four index look-ups.
SELECT r.*, a.status AS account_status, a.posted_micros, a.stripe_customer_id,
       EXISTS (SELECT FROM stripe_disputes d WHERE d.account_id = r.account_id
               AND d.status LIKE ANY (ARRAY['%needs_response', '%under_review'])) AS is_disputed,
       EXISTS (SELECT FROM entitlements e WHERE e.account_id = r.account_id
               AND e.blocked IS NOT NULL) AS is_blocked
FROM recharges r JOIN accounts a ON a.id = r.account_id
WHERE r.account_id = $1
FOR UPDATE OF r
