-- What was resolved for an account last.
-- $1 account id. Result: no row or one. Cost: one index look-up.
SELECT state, plan_id, subscription_id, rung, blocked, features, models, endpoints,
       requests_per_minute, tokens_per_minute, max_concurrency, credit_limit_micros,
       overage_limit_micros, overage_meter, paid_through, next_change_at, plans_version,
       resolved_at
FROM entitlements
WHERE account_id = $1
