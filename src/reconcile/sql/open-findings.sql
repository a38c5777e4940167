-- How much needs a person. No parameters. Result: one row. Cost: a scan of the findings.
SELECT count(*) FILTER (WHERE severity = 'urgent') AS urgent, count(*) AS open
  FROM findings WHERE state = 'open'
