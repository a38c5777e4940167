-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_constraint
          WHERE conrelid = 'work_holds'::regclass AND contype = 'u') = 1,
    'a caller''s key names one hold';
END $$;
