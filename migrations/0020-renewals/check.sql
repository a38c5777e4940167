-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT NOT EXISTS (SELECT FROM subscriptions WHERE reread_at IS NOT NULL),
    'nothing was read again before its first use';
END $$;
