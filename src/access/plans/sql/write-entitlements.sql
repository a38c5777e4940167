-- Keeps what was resolved for an account.
-- $1 account id, $2 state, $3 plan, $4 subscription, $5 rung, $6 blocked, $7 features, $8 models,
-- $9 endpoints (JSON), $10 requests a minute, $11 tokens a minute, $12 requests at once, $13 credit
-- limit, $14 overage limit (micros), $15 meter, $16 paid through, $17 next change, $18 version of
-- the plans, $19 now. Result: none. Cost: one row.
INSERT INTO entitlements (account_id, state, plan_id, subscription_id, rung, blocked, features,
                          models, endpoints, requests_per_minute, tokens_per_minute,
                          max_concurrency, credit_limit_micros, overage_limit_micros,
                          overage_meter, paid_through, next_change_at, plans_version, resolved_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9::jsonb, $10, $11, $12, $13, $14, $15, $16,
        $17, $18, $19)
ON CONFLICT (account_id) DO UPDATE
SET state = excluded.state, plan_id = excluded.plan_id, subscription_id = excluded.subscription_id,
    rung = excluded.rung, blocked = excluded.blocked, features = excluded.features,
    models = excluded.models, endpoints = excluded.endpoints,
    requests_per_minute = excluded.requests_per_minute,
    tokens_per_minute = excluded.tokens_per_minute, max_concurrency = excluded.max_concurrency,
    credit_limit_micros = excluded.credit_limit_micros,
    overage_limit_micros = excluded.overage_limit_micros, overage_meter = excluded.overage_meter,
    paid_through = excluded.paid_through, next_change_at = excluded.next_change_at,
    plans_version = excluded.plans_version, resolved_at = excluded.resolved_at
