-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_indexes
          WHERE tablename = 'key_claims' AND indexdef LIKE 'CREATE UNIQUE INDEX%(purchase)') = 1,
    'a purchase comes with one key at most';
END $$;
