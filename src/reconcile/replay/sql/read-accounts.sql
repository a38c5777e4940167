-- A page of accounts: who they are, not what they have.
-- Parameters: $1 id to start after, $2 most rows. Result: one row: count, last (id), rows (JSON as
-- text; null = none). Cost: an index range.
SELECT count(*) AS count, max(id) AS last, json_agg(a)::text AS rows
FROM (SELECT id, subject_ref, name, stripe_customer_id, created_at
      FROM accounts WHERE id > $1 ORDER BY id LIMIT $2) a
