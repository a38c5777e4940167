import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
import { until } from '../support/until.ts'
import { chatAnswer, messagesAnswer } from './support/answers.ts'
import { expectRefusal, TABLE, type Row } from './support/envelopes.ts'
import { chargeFor, MICROS, PRICES } from './support/money.ts'
import { answerJson, type Call } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  chargedRequests,
  expectCharged,
  expectSpent,
  FAMILIES,
  newModel,
  OUTPUT_DEFAULT,
  requestIdOf,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

const OUTPUT_MAX = 400
const TOKENS = { input: 20, output: 100 }
const USAGE = { input_tokens: 20, output_tokens: 100 }
const COST = chargeFor(USAGE)

let world: World
beforeAll(async () => {
  const short = { upstream: 'openai', model: 'short-*', ...PRICES, context_tokens: 2_000 }
  world = await startWorld({ processes: 2, prices: [short] })
})
afterAll(() => world.end())

const answer = (family: FamilyName, call: Call): void => {
  const make = family === 'openai' ? chatAnswer : messagesAnswer
  answerJson(call, make(String(call.json.model), 'Yes.', TOKENS))
}

/** What a request sets aside, read from the balance while one is under way. */
async function holdOf(family: FamilyName, body: Record<string, unknown>): Promise<number> {
  const model = newModel()
  const customer = await world.customer('1000')
  // The name is part of the bytes that bound the input, so it must be as long.
  const sized = { ...body, model: model.padEnd(String(body.model).length, '-') }
  const open = ask(world.gateway, family, customer.apiKey, sized)
  const call = await world.upstream.call(sized.model)
  const { held } = await world.gateway.admin.balance(customer.apiKey)
  answer(family, call)
  await (await open).text()
  return held.micros
}

/** Sends them at once over both processes; answers what passed and what was refused. */
function race(family: FamilyName, apiKey: string, bodies: readonly { model: string }[]) {
  let refused: Response[] = []
  const asked = bodies.map(async (body, n) => {
    const gateway = world.gateways[n % 2] ?? world.gateway
    const response = await ask(gateway, family, apiKey, body)
    if (!response.ok) refused = [...refused, response]
    return response
  })
  for (const one of asked) one.catch(() => undefined) // told by the one that awaits it
  const model = bodies[0]?.model ?? ''
  return {
    asked,
    calls: () => world.upstream.calls(model),
    /** Waits until every request either reached the upstream or was refused. */
    async decided(passing: number): Promise<Response[]> {
      await until(() => refused.length >= bodies.length - passing)
      await until(() => world.upstream.calls(model).length >= passing)
      return refused
    },
  }
}

async function expectOnly(
  family: FamilyName,
  customer: Customer,
  row: Row,
  bodies: readonly { model: string }[],
  passing: number,
): Promise<void> {
  const started = race(family, customer.apiKey, bodies)
  const { asked, calls } = started
  const refused = await started.decided(passing)
  expect(calls()).toHaveLength(passing)
  expect(refused).toHaveLength(bodies.length - passing)
  for (const response of refused) await expectRefusal(response, family, row)
  for (const call of calls()) answer(family, call)
  const passed = (await Promise.all(asked)).filter((response) => response.ok)
  expect(passed).toHaveLength(passing)
  for (const response of passed) {
    await expectCharged(world, requestIdOf(response), { usage: USAGE })
  }
  const charged = new Set(await chargedRequests(world, customer))
  expect(passed.every((response) => charged.has(requestIdOf(response)))).toBe(true)
}

const copies = (count: number, body: { model: string }): { model: string }[] =>
  Array.from({ length: count }, () => body)

describe.each(FAMILIES)('simultaneous requests of %s', (family) => {
  const bodyOf = (model: string) => ({
    ...bodyFor(family, model, { max_tokens: OUTPUT_MAX }),
    model,
  })

  it('reach the upstream as often as the balance pays for, and not once more', async () => {
    const body = bodyOf(newModel('oversell'))
    const hold = await holdOf(family, body)
    expect(hold).toBeGreaterThanOrEqual(COST)
    const granted = (7 * hold + 1) / MICROS
    const customer = await world.customer(granted.toFixed(6))
    await expectOnly(family, customer, TABLE.creditsHeld, copies(40, body), 7)
    await expectSpent(world, customer, granted, 7 * COST)
  })

  it("reach it as often as the key's budget allows", async () => {
    const body = bodyOf(newModel('oversell'))
    const hold = await holdOf(family, body)
    const budget = { credits: ((5 * hold) / MICROS).toFixed(6), period: 'month' }
    const customer = await world.customer('1000', { budget })
    await expectOnly(family, customer, TABLE.creditsHeld, copies(20, body), 5)
    await expectSpent(world, customer, 1_000, 5 * COST)
    // What they did not use is in the budget again.
    const more = Math.floor((5 * (hold - COST)) / hold)
    expect(more).toBeGreaterThan(0)
    const next = { ...body, model: newModel('oversell') }
    await expectOnly(family, customer, TABLE.creditsHeld, copies(8, next), more)
  })

  it('reach it as often as the rate allows', async () => {
    const body = bodyOf(newModel('rate'))
    // Two, so that no further one is earned before half a minute is over.
    const customer = await world.customer('1000', { rate: { requests_per_minute: 2 } })
    await expectOnly(family, customer, TABLE.rate, copies(24, body), 2)
  })

  it('are never more than the concurrency allows, and as many again when those have ended', async () => {
    const customer = await world.customer('1000', { max_concurrency: 4 })
    for (const model of [newModel('conc'), newModel('conc')]) {
      await expectOnly(family, customer, TABLE.rate, copies(16, bodyOf(model)), 4)
    }
    await expectSpent(world, customer, 1_000, 8 * COST)
  })

  it('spend a balance to its end and then get 402', async () => {
    const body = bodyOf(newModel('spend'))
    const hold = await holdOf(family, body)
    const granted = (hold + COST) / MICROS
    const customer = await world.customer(granted.toFixed(6))
    world.upstream.on(body.model, (call) => {
      answer(family, call)
    })
    for (const gateway of world.gateways) {
      const response = await ask(gateway, family, customer.apiKey, body)
      expect(response.status).toBe(200)
      await response.text()
    }
    const refused = await ask(world.gateway, family, customer.apiKey, body)
    await expectRefusal(refused, family, TABLE.noCredits)
    await world.gateway.admin.grant(customer.accountId, (hold / MICROS).toFixed(6))
    const again = await ask(world.gateways[1] ?? world.gateway, family, customer.apiKey, body)
    expect(again.status).toBe(200)
    expect(world.upstream.calls(body.model)).toHaveLength(3)
  })
})

describe('fit_to_balance', () => {
  it('shares a small balance among ten at once, each limited to what it may spend', async () => {
    const model = newModel('fit')
    const customer = await world.customer('1')
    const body = { ...bodyFor('openai', model), model }
    const { asked, calls } = race('openai', customer.apiKey, copies(10, body))
    await until(() => calls().length === 10)
    const balance = await world.gateway.admin.balance(customer.apiKey)
    expect(balance.available.micros).toBeGreaterThanOrEqual(0)
    const limits = calls().map((call) => Number(call.json.max_tokens))
    for (const limit of limits) {
      expect(limit).toBeGreaterThanOrEqual(64)
      expect(limit).toBeLessThan(OUTPUT_DEFAULT)
    }
    expect(new Set(limits).size).toBeGreaterThan(1)
    // Each uses its limit up: together they still fit.
    calls().forEach((call, n) => {
      answerJson(call, chatAnswer(model, 'Yes.', { input: 20, output: limits[n] ?? 0 }))
    })
    const responses = await Promise.all(asked)
    expect(responses.map(({ status }) => status)).toEqual(copies(10, body).map(() => 200))
    const spent = limits.reduce(
      (sum, limit) => sum + chargeFor({ input_tokens: 20, output_tokens: limit }),
      0,
    )
    expect(spent).toBeLessThanOrEqual(MICROS)
    await expectSpent(world, customer, 1, spent)
  })

  it('injects the default where there are credits enough, and leaves a named limit alone', async () => {
    const model = newModel('fit')
    const customer = await world.customer('1000')
    world.upstream.on(model, (call) => {
      answer('openai', call)
    })
    const body = bodyFor('openai', model)
    await ask(world.gateway, 'openai', customer.apiKey, body)
    await ask(world.gateway, 'openai', customer.apiKey, { ...body, max_completion_tokens: 333 })
    const [first, second] = world.upstream.calls(model)
    expect(first?.json).toEqual({ ...body, max_tokens: OUTPUT_DEFAULT })
    expect(second?.raw.toString()).toBe(JSON.stringify({ ...body, max_completion_tokens: 333 }))
  })

  it('injects no more than the context leaves beside the input, counted where bytes overstate it', async () => {
    const customer = await world.customer('1000')
    const limitFor = async (words: number): Promise<number> => {
      const model = newModel('short')
      world.upstream.on(model, (call) => {
        answer('openai', call)
      })
      const messages = [{ role: 'user', content: 'word '.repeat(words) }]
      const body = { ...bodyFor('openai', model), messages }
      expect((await ask(world.gateway, 'openai', customer.apiKey, body)).status).toBe(200)
      return Number(world.upstream.calls(model)[0]?.json.max_tokens)
    }
    expect(await limitFor(500)).toBe(OUTPUT_DEFAULT) // 2 500 bytes, 500 tokens
    const beside = await limitFor(1_400)
    expect(beside).toBeGreaterThan(300)
    expect(beside).toBeLessThan(2_000 - 1_400)
    expect(await limitFor(1_990)).toBe(64)
  })

  it('402 where not even the least answer fits', async () => {
    const customer = await world.customer('0.03')
    const model = newModel('fit')
    const response = await ask(world.gateway, 'openai', customer.apiKey, bodyFor('openai', model))
    await expectRefusal(response, 'openai', TABLE.noCredits)
    expect(world.upstream.calls(model)).toEqual([])
  })
})
