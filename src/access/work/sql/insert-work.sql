-- Records a hold that was made. Does nothing where its caller's key names another one already.
-- $1 id, $2 account, $3 key, $4 maker, $5 micros, $6 day, $7 reserved at, $8 ttl ms, $9 lease
-- until, $10 upstream and $11 model of its price, $12 the price itself, $13 markup, $14 metadata,
-- $15 caller's key, $16 hash of what was asked for, $17 draft, $18 now. Result: the row, or none.
-- Cost: O(log holds).
INSERT INTO work_holds (id, account_id, key_id, maker, state, micros, day, reserved_at, ttl_ms,
                        lease_until, price_upstream, price_model, kept_price, markup, metadata,
                        request_key, request_hash, draft, created_at, changed_at)
VALUES ($1, $2, $3, $4, 'open', $5, $6, $7::timestamptz, $8, $9::timestamptz, $10, $11,
        $12::jsonb, $13, $14::jsonb, $15, $16, $17::jsonb, $18::timestamptz, $18::timestamptz)
ON CONFLICT DO NOTHING
RETURNING *
