-- How often something of Stripe's was looked at.
-- Parameters: $1 subject. Result: no row or one. Cost: one index look-up.
SELECT number FROM stripe_looks WHERE subject = $1
