-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM information_schema.columns
          WHERE table_name = 'meter_reports' AND column_name IN ('refusal', 'successor')) = 2,
    'reports know a refusal in doubt and their successor';
END $$;
