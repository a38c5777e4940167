-- What the credit engine loads of a key, its spend of the running period included.
-- Parameters: $1 key id; first UTC day of: $2 today, $3 the week, $4 the month;
-- $5 id of the account that pays.
-- Result: no row or one: a client key pays from its own account, a backend key from any.
-- Cost: three look-ups and a short index range (a row a day).
SELECT k.id, a.id AS account_id, k.status, k.expires_at, k.budget_micros, k.budget_period,
       k.requests_per_minute, k.tokens_per_minute, k.max_concurrency, a.version, k.change_seq,
       p.start_day,
       (SELECT coalesce(sum(s.micros), 0)::bigint FROM key_spend s
        WHERE s.key_id = k.id AND s.day >= p.start_day) AS spend_micros,
       (SELECT coalesce(max(s.day), 0) FROM key_spend s WHERE s.key_id = k.id) AS last_day
FROM api_keys k
JOIN accounts a ON a.id = $5 AND (k.account_id = a.id OR k.kind = 'backend')
CROSS JOIN LATERAL (
  SELECT CASE k.budget_period WHEN 'day' THEN $2::integer WHEN 'week' THEN $3::integer
                              WHEN 'month' THEN $4::integer ELSE 0 END AS start_day
) p
WHERE k.id = $1
