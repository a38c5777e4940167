-- Closes findings about reports that are told by now, or about which another finding speaks.
-- A report still waits while Stripe does not have it, and while what took its place is to be sent.
-- Parameters: none. Result: none. Cost: a scan of the findings, two index probes a report named.
UPDATE findings f SET state = 'gone'
FROM (
  SELECT n.id, n.kind, n.marked, CASE
           WHEN n.kind = 'meter_error_report' THEN n.evidence->'reports'
           WHEN n.kind = 'meter_difference' THEN n.evidence->'marked'
           ELSE jsonb_build_array(n.subject) END AS named
  FROM (SELECT id, kind, subject, evidence, CASE WHEN kind = 'meter_error_report'
               THEN coalesce((evidence->>'marked')::integer, 0) ELSE 0 END AS marked
        FROM findings
        WHERE state = 'open' AND kind IN ('meter_late', 'meter_refused', 'meter_unclear',
          'meter_customer_gone', 'meter_error_report', 'meter_difference')) n
) t
WHERE f.id = t.id AND jsonb_array_length(t.named) > 0 AND t.marked <= jsonb_array_length(t.named)
  AND NOT EXISTS (
    SELECT FROM jsonb_array_elements_text(t.named) AS name
    JOIN meter_reports r ON r.identifier = name
    WHERE r.state IN ('late', 'refused', 'unclear')
       OR (r.state = 'replaced' AND EXISTS (
             SELECT FROM meter_reports s WHERE s.id = r.successor AND s.state = 'ready')))
