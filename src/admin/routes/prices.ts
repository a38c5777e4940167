import { z } from 'zod'
import { refuse } from '../../kernel/errors.ts'
import { overrideSchema } from '../../pricing/config.ts'
import { audit, type AdminDeps, type Operator } from '../context.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'

const name = z.string().min(1).max(256)

const readQuery = z
  .strictObject({ upstream: name.optional(), model: name.optional() })
  .refine((query) => (query.upstream === undefined) === (query.model === undefined), {
    error: 'name upstream and model, or neither',
  })

/** Which source rules a model and what a unit costs; without a model all entries, as they rule. */
const pricesView = z.union([
  z.looseObject({ data: z.array(z.looseObject({ kind: z.string(), source: z.string() })) }),
  z.looseObject({ upstream: z.string(), model: z.string(), version: z.string() }),
])

const targetBody = z.strictObject({
  kind: z.enum(['cost', 'sell']),
  upstream: name.nullish(),
  model: name.nullish(),
})

function readPrices(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'GET',
    path: '/prices',
    summary: 'Prices in the order in which they rule (admin, config, seed), or one model’s.',
    params: nothing,
    query: readQuery,
    body: nothing,
    answer: pricesView,
    run({ query: { upstream, model } }) {
      if (upstream === undefined || model === undefined) {
        const data = deps.prices.list().map((price) => ({ ...price }))
        return Promise.resolve({ status: 200, body: { data } })
      }
      const found = deps.prices.explain(upstream, model)
      const hint = "Name it in prices, or the upstream's catalogue, in farebox.yaml."
      const told = `${model} at ${upstream} has no price: it is refused. ${hint}`
      const none = refuse('model_not_found', told)
      return Promise.resolve(found === null ? none : { status: 200, body: { ...found } })
    },
  })
}

function putPrice(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'PUT',
    path: '/prices',
    summary: 'Override the cost or the sell price of an upstream’s models.',
    params: nothing,
    query: nothing,
    body: overrideSchema,
    answer: z.object({ version: z.string() }),
    async run({ body, who }) {
      const { upstream = '*', model = '*' } = body.entry
      const subject = `${upstream}/${model}`
      await audit(deps, { actor: who.actor, action: 'price.put', subject, detail: body })
      const { version } = await deps.prices.put(body)
      return { status: 200, body: { version } }
    },
  })
}

function removePrice(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'DELETE',
    path: '/prices',
    summary: 'End an override; what it covered rules again.',
    params: nothing,
    query: nothing,
    body: targetBody,
    answer: z.object({ removed: z.boolean() }),
    async run({ body: { kind, upstream = null, model = null }, who }) {
      const target = { kind, upstream, model }
      const subject = `${upstream ?? '*'}/${model ?? '*'}`
      await audit(deps, { actor: who.actor, action: 'price.remove', subject, detail: target })
      return { status: 200, body: { removed: await deps.prices.remove(target) } }
    },
  })
}

export const priceRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  readPrices(deps),
  putPrice(deps),
  removePrice(deps),
]
