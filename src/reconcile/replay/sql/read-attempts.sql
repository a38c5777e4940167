-- A page of attempts to charge: what Stripe was asked for.
-- Parameters: $1 id to start after, $2 most rows. Result: one row: count, last (id), rows (JSON as
-- text; null = none). Cost: an index range.
SELECT count(*) AS count, max(id) AS last, json_agg(a)::text AS rows
FROM (SELECT id, account_id, month, pack_id, stripe_price, micros, expires_days, return_url,
             state, idempotency_key, customer_id, payment_method, amount, currency,
             payment_intent, planned_at, called_at, last_call_at
      FROM recharge_attempts WHERE id > $1 ORDER BY id LIMIT $2) a
