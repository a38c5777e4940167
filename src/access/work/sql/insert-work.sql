-- Records a hold that was made. Does nothing where its caller's key names another one already.
-- $1 id, $2 account, $3 key, $4 maker, $5 micros, $6 day, $7 reserved at, $8 ttl ms, $9 lease
-- until, $10 upstream and $11 model of its price, $12 markup, $13 metadata, $14 caller's key,
-- $15 hash of what was asked for, $16 draft, $17 now. Result: the row, or none.
-- Cost: O(log holds).
INSERT INTO work_holds (id, account_id, key_id, maker, state, micros, day, reserved_at, ttl_ms,
                        lease_until, price_upstream, price_model, markup, metadata, request_key,
                        request_hash, draft, created_at, changed_at)
VALUES ($1, $2, $3, $4, 'open', $5, $6, $7::timestamptz, $8, $9::timestamptz, $10, $11, $12,
        $13::jsonb, $14, $15, $16::jsonb, $17::timestamptz, $17::timestamptz)
ON CONFLICT DO NOTHING
RETURNING *
