-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM information_schema.columns
          WHERE table_schema = current_schema() AND table_name = 'work_holds'
            AND column_name = 'kept_price' AND is_nullable = 'YES') = 1,
    'a hold may keep its price';
END $$;
