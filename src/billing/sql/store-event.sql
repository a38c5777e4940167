-- Keeps one event, or counts that it came again.
-- Parameters: $1 id, $2 type, $3 object id, $4 Stripe account, $5 api version, $6 is thin,
-- $7 source, $8 payload, $9 state (pending or ignored), $10 outcome, $11 occurred at,
-- $12 now. Result: deliveries so far. Cost: one row.
INSERT INTO stripe_events AS e (id, type, object_id, stripe_account, api_version, is_thin, source,
                                payload, state, outcome, occurred_at, due_at, received_at, done_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12,
        CASE WHEN $9 = 'ignored' THEN $12::timestamptz END)
ON CONFLICT (id) DO UPDATE
SET deliveries = e.deliveries + CASE WHEN excluded.source = 'webhook' THEN 1 ELSE 0 END
RETURNING deliveries, xmax = 0 AS is_new
