-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM information_schema.table_constraints
          WHERE table_name = 'stripe_entitlements'
            AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')) = 2,
    'each account has one set of what Stripe entitles it to';
END $$;
