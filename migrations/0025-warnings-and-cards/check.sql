-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT NOT EXISTS (
    SELECT FROM findings f JOIN stripe_payments p ON p.id = f.evidence ->> 'payment'
    WHERE f.kind = 'stripe_early_fraud_warning'
      AND NOT EXISTS (SELECT FROM stripe_warnings w WHERE w.id = f.subject)),
    'every warning that was acted upon is known';
END $$;
