-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM background_jobs) = 0, 'nothing is under way before its first use';
END $$;
