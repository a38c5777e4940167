-- Adds an account. Does nothing where its id, subject or Stripe customer is taken.
-- $1 id, $2 subject_ref, $3 name, $4 email, $5 Stripe customer, $6 credit limit micros, $7 now,
-- $8 overage limit micros, $9 markup. Result: the account, or none. Cost: O(log accounts).
INSERT INTO accounts (id, subject_ref, name, email, stripe_customer_id, credit_limit_micros,
                      change_seq, changed_at, created_at, overage_limit_micros, markup)
VALUES ($1, $2, $3, $4, $5, $6, 1, $7::timestamptz, $7::timestamptz, $8, $9)
ON CONFLICT DO NOTHING
RETURNING *
