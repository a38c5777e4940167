-- Notes what is to be told, a row a channel. An occasion that is known stays as it is.
-- Parameters: $1 ids and $2 channels (as many), $3 kind, $4 occasion, $5 audience, $6 account id or
-- null, $7 data JSON, $8 time. Result: none. Cost: one row a channel.
INSERT INTO notifications (id, kind, occasion, channel, audience, account_id, data, state, due_at,
                           created_at)
SELECT n.id, $3, $4, n.channel, $5, $6, $7::jsonb, 'pending', $8::timestamptz, $8::timestamptz
FROM unnest($1::uuid[], $2::text[]) AS n (id, channel)
ON CONFLICT (occasion, channel) DO NOTHING
