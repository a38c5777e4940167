-- What the credit engine loads of an account: its own state and limits, and those of its plan.
-- Parameters: $1 account id. Result: no row or one. Cost: two index look-ups.
SELECT a.id, a.posted_micros,
       least(a.credit_limit_micros + a.overage_limit_micros + a.plan_overage_limit_micros
             + coalesce(e.credit_limit_micros, 0), 9007199254740991) AS credit_limit_micros,
       CASE WHEN a.status = 'active' AND e.blocked IS NOT NULL THEN 'suspended'
            ELSE a.status END AS status,
       e.requests_per_minute, e.tokens_per_minute, e.max_concurrency, a.version, a.change_seq
FROM accounts a
LEFT JOIN entitlements e ON e.account_id = a.id
WHERE a.id = $1
