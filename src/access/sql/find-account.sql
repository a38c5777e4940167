-- Accounts that an id, a subject or a Stripe customer names; nulls name nothing.
-- $1 id, $2 subject_ref, $3 Stripe customer. Result: 0 to 3 accounts. Cost: O(log accounts).
SELECT * FROM accounts
 WHERE id = $1 OR subject_ref = $2 OR stripe_customer_id = $3
 ORDER BY (id = $1) IS TRUE DESC, id
