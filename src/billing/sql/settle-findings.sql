-- Closes findings whose cause was looked at and is gone.
-- Parameters: $1 kinds, $2 subjects (as many). Result: none. Cost: an index look-up each.
UPDATE findings f SET state = 'gone'
FROM unnest($1::text[], $2::text[]) AS n (kind, subject)
WHERE f.kind = n.kind AND f.subject = n.subject AND f.state = 'open'
