-- A page of checkouts of ours: what was asked for, not what became of it.
-- Parameters: $1 id to start after, $2 most rows. Result: one row: count, last (id), rows (JSON as
-- text; null = none). Cost: an index range.
SELECT count(*) AS count, max(id) AS last, json_agg(c)::text AS rows
FROM (SELECT id, account_id, item_kind, item_id, stripe_price, micros, expires_days, success_url,
             cancel_url, request_hash, session_id, amount, currency, created_at
      FROM checkout_sessions WHERE id > $1 ORDER BY id LIMIT $2) c
