-- Lets every copy of an account be read again after its entitlements changed.
-- $1 account id, $2 overage limit of its plan (micros), $3 plan or null, $4 now.
-- Result: none. Cost: one row.
UPDATE accounts
SET plan_overage_limit_micros = $2, meter_plan = $3, change_seq = change_seq + 1,
    changed_at = greatest(changed_at, $4::timestamptz)
WHERE id = $1
