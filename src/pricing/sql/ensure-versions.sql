-- Records versions that receipts name, once each; a version's content never changes.
-- Parameters, arrays of one length: $1 version text[], $2 source text[], $3 upstream text[],
-- $4 model text[], $5 document text[] (JSON); $6 created_at timestamptz.
-- Result: none. Cost: one index probe a version.
INSERT INTO prices (version, source, upstream, model, document, created_at)
SELECT v.version, v.source, v.upstream, v.model, v.document::jsonb, $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS v (version, source, upstream, model, document)
ON CONFLICT (version) DO NOTHING
