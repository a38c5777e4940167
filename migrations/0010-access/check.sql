-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT NOT EXISTS (SELECT FROM accounts a LEFT JOIN entitlements e ON e.account_id = a.id
                     WHERE e.account_id IS NULL), 'every account has entitlements';
  ASSERT NOT EXISTS (SELECT FROM accounts WHERE plan_overage_limit_micros <> 0),
    'no plan lets anything through yet';
END $$;
