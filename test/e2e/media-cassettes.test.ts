import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { chargeFor } from './support/money.ts'
import {
  expectSpent,
  newModel,
  post,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const Counts = z.record(z.string(), z.number())
const Cassette = z.object({
  protocol: z.literal('gemini'),
  request: z.object({ path: z.string(), body: z.looseObject({}) }),
  response: z.object({
    status: z.number(),
    headers: z.record(z.string(), z.string()),
    body: z.string(),
  }),
  expected: z.object({ usage: Counts.nullable(), alternatives: z.array(Counts).optional() }),
})
type Recording = z.infer<typeof Cassette> & { readonly name: string }

const directory = process.env.FAREBOX_CASSETTES
const recordings = (directory === undefined ? [] : readdirSync(directory))
  .filter((name) => name.endsWith('.json'))
  .flatMap((name): Recording[] => {
    const text = readFileSync(join(directory ?? '', name), 'utf8')
    const parsed = Cassette.safeParse(JSON.parse(text))
    return parsed.success ? [{ ...parsed.data, name }] : []
  })

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

/** The recorded path below the gateway's own prefix, with a model name of the test's own. */
const pathOf = ({ request }: Recording, model: string): string =>
  `/v1beta/models/${model}:${request.path.split(':').at(-1) ?? ''}`

describe.skipIf(directory === undefined)('a recorded answer of Gemini', () => {
  it('is there', () => {
    expect(recordings.length).toBeGreaterThan(5)
  })

  it.each(recordings)('reaches the client as it was and is charged: $name', async (recording) => {
    const { request, response, expected } = recording
    const model = newModel('recorded')
    const customer = await world.customer('10000')
    world.upstream.on(model, (call) => {
      call.out.writeHead(response.status, response.headers)
      call.out.end(response.body)
    })
    const answer = await post(
      world.gateway,
      pathOf(recording, model),
      customer.apiKey,
      request.body,
    )
    expect(await answer.text()).toBe(response.body)
    expect(answer.status).toBe(response.status)
    if (expected.usage === null) {
      await expectSpent(world, customer, 10_000, 0)
      return
    }
    const receipt = await world.gateway.admin.receipt(requestIdOf(answer))
    expect(receipt).toMatchObject({ status: 'posted', estimated: false })
    const usage = Counts.parse(receipt.usage)
    expect([expected.usage, ...(expected.alternatives ?? [])]).toContainEqual(usage)
    expect(receipt.cost.micros).toBe(chargeFor(usage))
    await expectSpent(world, customer, 10_000, receipt.cost.micros)
  })
})
