-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT to_regclass('stripe_events_next') IS NOT NULL AND to_regclass('stripe_events_due') IS NULL,
    'events are claimed by one index';
  ASSERT NOT EXISTS (SELECT FROM stripe_events WHERE state = 'pending' AND source = 'sync'
                     AND NOT by_hand),
    'what a sync fetched goes after what is delivered';
END $$;
