-- Events that somebody had fetched (a sync) or set to work again (a replay): they go after what
-- Stripe delivers, and their delay is nobody's fault. Source: issue 4 §1.
ALTER TABLE stripe_events ADD COLUMN by_hand boolean NOT NULL DEFAULT false;
UPDATE stripe_events SET by_hand = true WHERE source = 'sync' AND state = 'pending';

CREATE INDEX stripe_events_next ON stripe_events (by_hand, due_at) WHERE state = 'pending';
DROP INDEX stripe_events_due;
