-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM information_schema.columns
          WHERE table_name = 'reconcile_runs'
            AND column_name IN ('check_name', 'failures', 'nightly_at')) = 3,
    'runs know their check by name, its failures, and the last night';
END $$;
