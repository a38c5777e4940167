-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
          WHERE c.relname = 'stored_ids' AND i.indisprimary) = 1,
    'an account has each id once';
END $$;
