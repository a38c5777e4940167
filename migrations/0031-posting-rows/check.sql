-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_type WHERE typtype = 'c' AND typname LIKE 'sheet\_%') = 5,
    'each kind of row that is posted has its type';
END $$;
