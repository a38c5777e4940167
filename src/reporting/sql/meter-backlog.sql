-- Usage that Stripe was not told of. Parameters: none. Result: one row: open, ready, refused, late,
-- unclear, oldest (of what waits; null = nothing does). Cost: two partial indexes of what waits.
SELECT o.open, r.ready, r.refused, r.late, r.unclear, least(o.oldest, r.oldest) AS oldest
FROM (SELECT count(*) AS open, min(used_at) AS oldest
      FROM meter_outbox WHERE sealing_id IS NULL) o,
     (SELECT count(*) FILTER (WHERE state = 'ready') AS ready,
             count(*) FILTER (WHERE state = 'refused') AS refused,
             count(*) FILTER (WHERE state = 'late') AS late,
             count(*) FILTER (WHERE state = 'unclear') AS unclear,
             min(at) FILTER (WHERE state = 'ready') AS oldest
      FROM meter_reports WHERE state IN ('ready', 'refused', 'late', 'unclear')) r
