-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_indexes
          WHERE tablename IN ('meter_outbox', 'meter_reports', 'meter_lanes')
            AND indexdef LIKE '%WHERE%') = 5,
    'the indexes of what waits must stay as small as the backlog';
  ASSERT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'meter_reports_sealed'),
    'what a sealed report says must not change';
END $$;
