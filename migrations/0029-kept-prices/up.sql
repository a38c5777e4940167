-- The price that work elsewhere was promised. Source: design §8 (holds).

-- All that its charge follows from, with the version's name: it holds though the books change, and
-- at a process that never read the old ones. null = counted in credits, or made by an older release
-- (then the books say what a unit costs).
ALTER TABLE work_holds ADD COLUMN kept_price jsonb;
