-- Notes whose the ids of stored responses are. Harmless to repeat: what is there is updated.
-- Parameters, one element an id: $1 accounts, $2 ids, $3 upstreams, $4 models, $5 holds; $6 expiry.
-- Result: none. Cost: an index probe and a row an id.
INSERT INTO stored_ids (account_id, id, upstream, model, hold_id, expires_at)
SELECT DISTINCT ON (account_id, id) account_id, id, upstream, model, hold_id, $6::timestamptz
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[])
     AS t (account_id, id, upstream, model, hold_id)
ORDER BY account_id, id, hold_id DESC
ON CONFLICT (account_id, id) DO UPDATE
SET upstream = excluded.upstream, model = excluded.model, hold_id = excluded.hold_id,
    expires_at = excluded.expires_at
