-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_indexes
          WHERE tablename = 'recharge_attempts' AND indexdef LIKE 'CREATE UNIQUE%WHERE%') = 1,
    'an account may have one attempt in flight';
END $$;
