-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_constraint
          WHERE conrelid = 'checkout_sessions'::regclass AND contype = 'u') = 3,
    'a checkout is unique by its session, its payment and its caller''s key';
END $$;
