-- Notes that a balance passed a mark, once for the newest credits of the account: what hovers about
-- the mark passes it many times. Not where a recharge is about to mend it: on, due within a minute
-- (an attempt under way was; one that failed or was capped puts the next off by more), and free.
-- In the transaction that posts, which holds the account.
-- Parameters: $1 ids and $2 channels (as many), $3 kind, $4 occasion without the credits, $5
-- audience, $6 account id, $7 data JSON, $8 time. Result: none.
-- Cost: a row a channel, the account's lots.
INSERT INTO notifications (id, kind, occasion, channel, audience, account_id, data, state, due_at,
                           created_at)
SELECT n.id, $3, $4::text || ':' || coalesce(l.id::text, 'none'), n.channel, $5, $6::text,
       $7::jsonb, 'pending', $8::timestamptz, $8::timestamptz
FROM unnest($1::uuid[], $2::text[]) AS n (id, channel)
LEFT JOIN (SELECT id FROM lots WHERE account_id = $6::text
           ORDER BY created_at DESC, id DESC LIMIT 1) l ON true
WHERE NOT EXISTS (
  SELECT FROM recharges r
  WHERE r.account_id = $6::text AND r.state = 'on'
    AND r.due_at <= $8::timestamptz + interval '1 minute'
    AND NOT EXISTS (SELECT FROM stripe_disputes d WHERE d.account_id = r.account_id
                    AND d.status LIKE ANY (ARRAY['%needs_response', '%under_review'])))
ON CONFLICT (occasion, channel) DO NOTHING
