-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_constraint
          WHERE conrelid = 'meter_surplus'::regclass AND contype IN ('p', 'c')) = 2,
    'a surplus is one row an account and meter, and never less than nothing';
  ASSERT EXISTS (SELECT FROM pg_indexes WHERE indexname = 'meter_reports_seq'),
    'reports must be found in the order of their sealing';
END $$;
