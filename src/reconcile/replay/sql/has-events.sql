-- Whether a database has events of Stripe.
-- Parameters: none. Result: has_events. Cost: a look into one table.
SELECT EXISTS (SELECT FROM stripe_events) AS has_events
