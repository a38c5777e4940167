-- Whether a subscription was seen to have ended.
-- Parameters: $1 id. Result: no row where it was not. Cost: one index look-up.
SELECT id FROM subscriptions WHERE id = $1 AND ended_at IS NOT NULL
