-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM information_schema.columns
          WHERE table_name = 'findings'
            AND column_name IN ('direction', 'at_stake_micros', 'note', 'explained_until')) = 4,
    'findings know their direction, worth and explanation';
END $$;
