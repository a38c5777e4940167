-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_indexes
          WHERE tablename = 'notifications' AND indexdef LIKE '%WHERE%') = 1,
    'the index that senders use must stay as small as the backlog';
END $$;
