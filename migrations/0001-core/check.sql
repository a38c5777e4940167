-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pg_trigger WHERE tgname = 'ledger_entries_insert_only') = 1,
    'ledger_entries must refuse UPDATE and DELETE';
  ASSERT (SELECT indisunique FROM pg_index WHERE indexrelid = 'ledger_entries_op'::regclass),
    'one movement per operation and lot or line';
END $$;
