-- Changes what is not money of an account, so `version` stays and `change_seq` rises.
-- $1 id, $2 name, $3 email, $4 status, $5 status reason, $6 credit limit micros, $7 overage limit
-- micros, $8 markup, $9 Stripe customer, $10 subject_ref, $11 now: all as they shall be.
-- Result: the account. Cost: O(log accounts).
UPDATE accounts
   SET name = $2, email = $3, status = $4, status_reason = $5, credit_limit_micros = $6,
       overage_limit_micros = $7, markup = $8, stripe_customer_id = $9, subject_ref = $10,
       change_seq = change_seq + 1, changed_at = greatest(changed_at, $11::timestamptz)
 WHERE id = $1
RETURNING *
