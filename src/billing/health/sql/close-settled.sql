-- Closes findings whose cause is gone by what our own rows say: an event that was worked off after
-- all, a recharge that succeeded since or is off, a customer that no account has any more, a
-- receipt that was posted after all. Parameters: none. Result: none.
-- Cost: a scan of the findings, an index probe each.
UPDATE findings f SET state = 'gone'
WHERE f.state = 'open' AND CASE f.kind
  WHEN 'stripe_event_dead' THEN EXISTS (
    SELECT FROM stripe_events e WHERE e.id = f.subject AND e.state IN ('done', 'ignored'))
  WHEN 'recharge_refused' THEN NOT EXISTS (
    SELECT FROM recharges r WHERE r.account_id = f.subject AND r.state <> 'off')
    OR EXISTS (SELECT FROM recharge_attempts a
               WHERE a.account_id = f.subject AND a.state = 'succeeded'
                 AND a.changed_at > f.last_seen)
  WHEN 'stripe_customer_deleted' THEN NOT EXISTS (
    SELECT FROM accounts a WHERE a.stripe_customer_id = f.subject)
  WHEN 'unpostable_receipt' THEN EXISTS (
    SELECT FROM usage u
    WHERE u.hold_id = CASE WHEN f.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9]{1,4}$'
                           THEN split_part(f.subject, ':', 1)::uuid END
      AND u.rev::text = split_part(f.subject, ':', 2))
  ELSE false END
