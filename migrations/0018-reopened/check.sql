-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT NOT EXISTS (SELECT FROM findings WHERE opened_at <> first_seen OR openings <> 1),
    'findings that are there opened when they were first seen';
  ASSERT (SELECT count(*) FROM pg_trigger WHERE tgname = 'findings_opening') = 1,
    'openings are counted';
END $$;
