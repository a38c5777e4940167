-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT EXISTS (SELECT FROM pg_indexes WHERE indexname = 'subscriptions_started'),
    'a page of our subscriptions has its index';
END $$;
