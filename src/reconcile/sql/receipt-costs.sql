-- What receipts say that a provider costs, by day and model.
-- Parameters: $1 least hold id (uuid), $2 first one after, $3 upstreams, $4 first Unix day,
-- $5 last. Result: day, model, pico (of a dollar, text). Cost: reads the receipts of that time.
SELECT day, model, sum(provider_cost_pico_usd)::text AS pico
FROM (
  SELECT DISTINCT ON (hold_id) day, model, upstream, provider_cost_pico_usd
  FROM usage
  WHERE hold_id >= $1::uuid AND hold_id < $2::uuid
  ORDER BY hold_id, rev DESC
) receipts
WHERE upstream = ANY ($3::text[]) AND day BETWEEN $4 AND $5
GROUP BY day, model
ORDER BY day, model
