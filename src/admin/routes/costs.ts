import { z } from 'zod'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { refuse } from '../../kernel/errors.ts'
import { COST_DAYS_MAX, COST_DAY_MODELS_MAX } from '../../kernel/limits/books.ts'
import { costFormatSchema } from '../../reconcile/costs/config.ts'
import { dayText } from '../../reconcile/costs/compare.ts'
import { audit, type AdminDeps, type Operator } from '../context.ts'

const provider = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/)
/** Unix days, UTC. */
const day = z.int().min(0).max(100_000)

export const costFormatView = costFormatSchema.extend({
  provider,
  upstreams: z.array(z.string()),
})

export const costsView = z.object({
  days: z.int(),
  seen: z.int(),
  found: z.array(z.object({ kind: z.string(), subject: z.string() })),
})

/** Pico-dollars as text: more than a JSON number holds. */
const pico = z
  .string()
  .regex(/^-?\d{1,40}$/)
  .transform(BigInt)

const UNKNOWN = refuse(
  'not_found',
  'No upstream of ours is billed by that provider: name it in farebox.yaml, reconcile.costs.',
)

const readFormat = (deps: AdminDeps): Route<Operator> =>
  route({
    method: 'GET',
    path: '/reconcile/costs/:provider',
    summary: 'How a provider’s export of costs is read, and which upstreams it bills.',
    params: z.object({ provider }),
    query: nothing,
    body: nothing,
    answer: costFormatView,
    run({ params }) {
      const { providers } = deps.costs.book()
      const found = Object.hasOwn(providers, params.provider)
        ? providers[params.provider]
        : undefined
      return Promise.resolve(
        found === undefined || found.upstreams.length === 0
          ? UNKNOWN
          : { status: 200, body: { ...found, provider: params.provider } },
      )
    },
  })

export const costRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  readFormat(deps),
  route({
    method: 'POST',
    path: '/reconcile/costs/:provider',
    summary: 'Compare whole days of a provider’s export of costs with our receipts.',
    params: z.object({ provider }),
    query: nothing,
    body: z
      .strictObject({
        from_day: day,
        to_day: day,
        skipped: z.array(day).max(COST_DAYS_MAX).default([]),
        lines: z
          .array(z.strictObject({ day, model: z.string().max(300), pico }))
          .max(COST_DAY_MODELS_MAX + COST_DAYS_MAX),
      })
      .refine(({ from_day: a, to_day: b }) => a <= b && b - a < COST_DAYS_MAX, {
        error: `must be 1 to ${COST_DAYS_MAX} days`,
        path: ['to_day'],
      }),
    answer: costsView,
    async run({ params, body: { from_day: fromDay, to_day: toDay, ...rest }, who }) {
      const { provider: subject } = params
      const found = await deps.costs.compare({ provider: subject, fromDay, toDay, ...rest })
      if (found === null) return UNKNOWN
      const detail = { from: dayText(fromDay), to: dayText(toDay), found: found.drifts.length }
      await audit(deps, { actor: who.actor, action: 'reconcile.costs', subject, detail })
      const drifts = found.drifts.map(({ kind, subject: of }) => ({ kind, subject: of }))
      return { status: 200, body: { days: found.days.length, seen: found.seen, found: drifts } }
    },
  }),
]
