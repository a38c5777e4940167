-- The run under way or the last one.
-- No parameters. Result: the run, or no row. Cost: one row.
SELECT * FROM reconcile_runs WHERE name = 'reconcile'
