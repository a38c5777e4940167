-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_indexes
          WHERE tablename = 'stripe_events' AND indexdef LIKE '%WHERE%') = 2,
    'the indexes that workers use must stay as small as the backlog';
END $$;
