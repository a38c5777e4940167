-- Whether a purchase of an account waits for its payment.
-- $1 account id. Result: one row: pending. Cost: two index ranges.
SELECT EXISTS (SELECT FROM checkout_sessions WHERE account_id = $1 AND state = 'pending')
    OR EXISTS (SELECT FROM subscriptions
               WHERE account_id = $1 AND status = 'incomplete' AND ended_at IS NULL) AS pending
