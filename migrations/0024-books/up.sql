-- Our subscriptions are set against Stripe's in the order in which they began. Source: design §6
-- (I4), issue 5 §2.
CREATE INDEX subscriptions_started ON subscriptions (started_at, id)
  WHERE ended_at IS NULL AND plan_id IS NOT NULL;
