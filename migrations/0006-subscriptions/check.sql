-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT is_nullable FROM information_schema.columns
          WHERE table_name = 'stripe_sales' AND column_name = 'subscription_id') = 'YES',
    'most sales belong to no subscription';
END $$;
