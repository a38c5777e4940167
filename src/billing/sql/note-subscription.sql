-- Keeps a subscription as it was just seen. A price of no plan leaves the plan that it had.
-- Parameters: $1 id, $2 account id, $3 customer, $4 plan id, $5 price, $6 quantity, $7 status,
-- $8 period start, $9 period end, $10 trial end, $11 cancel at, $12 cancel at period end,
-- $13 ended at, $14 is its collection paused, $15 latest invoice, $16 started at, $17 now,
-- $18 status of the period's invoice, $19 owed since, $20 where that can be paid.
-- Result: none. Cost: one row.
INSERT INTO subscriptions AS s (id, account_id, customer_id, plan_id, stripe_price, quantity,
                                status, current_period_start, current_period_end, trial_end,
                                cancel_at, cancel_at_period_end, ended_at, is_collection_paused,
                                latest_invoice, started_at, changed_at, invoice_status, owed_since,
                                pay_url)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT (id) DO UPDATE
SET plan_id = coalesce(excluded.plan_id, s.plan_id), stripe_price = excluded.stripe_price,
    quantity = excluded.quantity, status = excluded.status,
    current_period_start = excluded.current_period_start,
    current_period_end = excluded.current_period_end, trial_end = excluded.trial_end,
    cancel_at = excluded.cancel_at, cancel_at_period_end = excluded.cancel_at_period_end,
    ended_at = excluded.ended_at, is_collection_paused = excluded.is_collection_paused,
    latest_invoice = excluded.latest_invoice, changed_at = excluded.changed_at,
    invoice_status = excluded.invoice_status, owed_since = excluded.owed_since,
    pay_url = excluded.pay_url
