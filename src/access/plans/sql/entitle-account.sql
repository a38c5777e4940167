-- Lets every copy of an account be read again after its entitlements changed.
-- $1 account id, $2 overage limit of its plan (micros), $3 now. Result: none. Cost: one row.
UPDATE accounts
SET plan_overage_limit_micros = $2, change_seq = change_seq + 1,
    changed_at = greatest(changed_at, $3::timestamptz)
WHERE id = $1
