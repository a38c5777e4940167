-- Keeps events, or counts that they came again. No id may be named twice, and all callers name them
-- in one order, so that two of them never wait for each other.
-- Parameters, arrays with an element an event: $1 ids, $2 types, $3 object ids, $4 Stripe accounts,
-- $5 api versions, $6 is thin, $7 sources, $8 payloads, $9 states (pending or ignored),
-- $10 outcomes, $11 occurred at, $12 deliveries, $13 received at.
-- Result: a row an event: id, deliveries so far, is_new. Cost: one row an event.
INSERT INTO stripe_events AS e (id, type, object_id, stripe_account, api_version, is_thin, source,
                                payload, state, outcome, occurred_at, deliveries, due_at,
                                received_at, done_at, by_hand)
SELECT n.id, n.type, n.object_id, n.stripe_account, n.api_version, n.is_thin, n.source, n.payload,
       n.state, n.outcome, n.occurred_at::timestamptz, n.deliveries, n.received_at::timestamptz,
       n.received_at::timestamptz,
       CASE WHEN n.state = 'ignored' THEN n.received_at::timestamptz END, n.source = 'sync'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::integer[], $13::text[]) AS n (
  id, type, object_id, stripe_account, api_version, is_thin, source, payload, state, outcome,
  occurred_at, deliveries, received_at)
ON CONFLICT (id) DO UPDATE
SET deliveries = e.deliveries
    + CASE WHEN excluded.source = 'webhook' THEN excluded.deliveries ELSE 0 END
RETURNING e.id, e.deliveries, e.xmax = 0 AS is_new
