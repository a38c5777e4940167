-- Reports by meter and state. Parameters: none. Result: event_name, state, reports, value, oldest.
-- Cost: a scan of the reports of the last 40 days.
SELECT event_name, state, count(*) AS reports, sum(value)::text AS value, min(at) AS oldest
FROM meter_reports
WHERE at > $1::timestamptz
GROUP BY event_name, state
ORDER BY event_name, state
