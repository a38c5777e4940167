-- Subscriptions of an account to plans of ours, as they were last seen.
-- $1 account id. Result: one row each. Cost: an index range.
SELECT id, plan_id, stripe_price, quantity, status, current_period_start, current_period_end,
       trial_end, cancel_at, cancel_at_period_end, ended_at, is_collection_paused, latest_invoice,
       invoice_status, owed_since, pay_url, started_at, changed_at
FROM subscriptions
WHERE account_id = $1 AND plan_id IS NOT NULL
ORDER BY started_at, id
