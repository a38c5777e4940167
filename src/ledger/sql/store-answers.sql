-- Keeps the answers of idempotent requests in the transaction that charges them.
-- Parameters, one array a column, same order: $1 account ids, $2 keys, $3 hold ids, $4 statuses,
-- $5 headers as JSON texts, $6 bodies (null = not kept); $7 when they may be forgotten.
-- Result: none. Cost: one row each. A key that another hold has taken over is left alone.
UPDATE idempotent_requests r
SET state = 'charged', status = a.status, headers = a.headers::jsonb, body = a.body,
    expires_at = $7::timestamptz
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::integer[], $5::text[], $6::bytea[])
  AS a (account_id, key, hold_id, status, headers, body)
WHERE r.account_id = a.account_id AND r.key = a.key AND r.hold_id = a.hold_id
