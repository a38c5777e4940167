-- Notes a response that is to be polled. Harmless to repeat.
-- Parameters: $1 hold, $2 account, $3 response, $4 micros held, $5 day, $6 reserved at, $7 draft,
-- $8 job, $9 first poll, $10 now. Result: none. Cost: one row.
INSERT INTO background_jobs (hold_id, account_id, response_id, micros, day, reserved_at, draft,
                             job, due_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6::timestamptz, $7::jsonb, $8::jsonb, $9::timestamptz,
        $10::timestamptz)
ON CONFLICT DO NOTHING
