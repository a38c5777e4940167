-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT EXISTS (SELECT FROM pg_indexes WHERE indexname = 'meter_reports_customer'),
    'whose usage was told under a customer has its index';
END $$;
