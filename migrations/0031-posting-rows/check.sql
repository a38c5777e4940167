-- Fails the migration when what it promises is not so.
DO $$
BEGIN
  ASSERT (SELECT bool_and(to_regtype(name) IS NOT NULL) FROM unnest(ARRAY[
    'sheet_account', 'sheet_lot', 'sheet_entry', 'sheet_receipt', 'sheet_spend']) name),
    'each kind of row that is posted has its type';
END $$;
