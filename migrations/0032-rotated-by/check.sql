-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT EXISTS (SELECT FROM information_schema.columns
                 WHERE table_name = 'api_keys' AND column_name = 'rotated_by'),
    'a key tells which request gave it its secret';
END $$;
