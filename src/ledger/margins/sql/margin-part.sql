-- What the requests of some time brought and cost, by group. A request is counted whole where its
-- id puts it (ids begin with their time), with what all revs and reversals of its hold moved.
-- Parameters: $1 least hold id, $2 first hold id that is not meant any more (uuid as text),
-- $3 group: account, key, model, upstream, or none (day: the caller's range is one);
-- $4 credits a dollar where the price's version does not say, decimal; $5 groups at most.
-- Result: one row a group, sums exact: micros as bigint, pico-dollars as numeric. Each request's
-- revenue is cut to whole pico-dollars, so sums agree however they are grouped.
-- Cost: one index range of usage and one of ledger_entries (op ids begin with the hold's id).
WITH ruling AS (
  SELECT DISTINCT ON (hold_id) hold_id, account_id, key_id, upstream, model, estimated,
         provider_cost_pico_usd AS cost, price_version
  FROM usage
  WHERE hold_id >= $1::text::uuid AND hold_id < $2::text::uuid
  ORDER BY hold_id, rev DESC
), moved AS (
  SELECT left(e.op_id, 36)::uuid AS hold_id,
         -sum(e.micros) AS charged,
         -coalesce(sum(e.micros) FILTER (WHERE l.kind = 'paid'), 0) AS paid,
         -coalesce(sum(e.micros) FILTER (WHERE l.kind = 'included'), 0) AS included,
         -coalesce(sum(e.micros) FILTER (WHERE e.line = 'overage'), 0) AS overage,
         -coalesce(sum(e.micros) FILTER (WHERE l.kind = 'promo'), 0) AS promo,
         -coalesce(sum(e.micros) FILTER (WHERE e.line = 'debt'), 0) AS debt,
         coalesce(sum(e.micros) FILTER (WHERE e.movement_type = 'reversal'
                                          AND e.op_id LIKE '%:reverse%'), 0) AS reversed
  FROM ledger_entries e
  LEFT JOIN lots l ON l.id = e.lot_id
  WHERE e.op_id >= $1::text COLLATE "C" AND e.op_id < $2::text COLLATE "C"
    AND e.movement_type NOT IN ('expiry', 'reinstatement')
  GROUP BY 1
), valued AS (
  SELECT r.*, r.price_version <> 'credits' AS has_cost,
         coalesce(m.charged, 0) AS charged, coalesce(m.paid, 0) AS paid,
         coalesce(m.included, 0) AS included, coalesce(m.overage, 0) AS overage,
         coalesce(m.promo, 0) AS promo, coalesce(m.debt, 0) AS debt,
         coalesce(m.reversed, 0) AS reversed,
         1000000 / coalesce((p.document ->> 'credits_per_usd')::numeric, $4::text::numeric)
           AS pico_a_micro,
         coalesce((p.document ->> 'credits_per_usd')::numeric, $4::text::numeric) AS per_usd
  FROM ruling r
  LEFT JOIN moved m USING (hold_id)
  LEFT JOIN prices p ON p.version = r.price_version
), priced AS (
  SELECT *, div((paid + included + overage) * 1000000, per_usd) AS revenue,
         div(promo * 1000000, per_usd) AS given, div(debt * 1000000, per_usd) AS owed
  FROM valued
)
SELECT CASE $3::text WHEN 'account' THEN account_id WHEN 'key' THEN key_id
                     WHEN 'model' THEN model WHEN 'upstream' THEN upstream ELSE '' END AS name,
       count(*) AS requests,
       count(*) FILTER (WHERE estimated) AS estimated,
       sum(charged)::bigint AS charged_micros, sum(paid)::bigint AS paid_micros,
       sum(included)::bigint AS included_micros, sum(overage)::bigint AS overage_micros,
       sum(promo)::bigint AS promo_micros, sum(debt)::bigint AS debt_micros,
       sum(reversed)::bigint AS reversed_micros,
       coalesce(sum(revenue) FILTER (WHERE has_cost), 0)::text AS revenue_pico_usd,
       coalesce(sum(cost) FILTER (WHERE has_cost), 0)::text AS cost_pico_usd,
       sum(given)::text AS promo_pico_usd, sum(owed)::text AS debt_pico_usd,
       count(*) FILTER (WHERE NOT has_cost) AS uncosted_requests,
       coalesce(sum(revenue) FILTER (WHERE NOT has_cost), 0)::text AS uncosted_pico_usd
FROM priced
GROUP BY 1
LIMIT $5::int
