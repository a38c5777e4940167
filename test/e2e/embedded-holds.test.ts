import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

const MICROS = 1_000_000

const dir = mkdtempSync(join(tmpdir(), 'farebox-embedded-'))
// Nothing is asked of it: without an upstream the demo's would be started.
const upstreams = { none: { protocol: 'http', base_url: 'http://127.0.0.1:1' } }
const start = (): Promise<Gateway> => startGateway({ dir, config: { upstreams } })
let gateway: Gateway
beforeAll(async () => {
  gateway = await start()
})
afterAll(async () => {
  await gateway.end()
  rmSync(dir, { recursive: true, force: true })
})

const hold = z.looseObject({ hold_id: z.string(), status: z.string() })

async function call(apiKey: string, path: string, body: object) {
  const answer = await fetch(`${gateway.url}/farebox/v1/holds${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: answer.status, body: z.looseObject({}).parse(await answer.json()) }
}

const opened = async (apiKey: string, credits: string): Promise<string> =>
  hold.parse((await call(apiKey, '', { credits })).body).hold_id

async function expectBalance(apiKey: string, posted: number, held: number): Promise<void> {
  await until(async () => {
    const balance = await gateway.admin.balance(apiKey)
    expect(balance.posted.micros).toBe(posted * MICROS)
    expect(balance.held.micros).toBe(held * MICROS)
    expect(balance.available.micros).toBe((posted - held) * MICROS)
    return true
  })
}

it('work elsewhere is held, charged once and given back without Postgres and Redis', async () => {
  const { apiKey } = await gateway.admin.customer('10')
  const [settling, releasing] = [await opened(apiKey, '4'), await opened(apiKey, '3')]
  await expectBalance(apiKey, 10, 7)
  expect((await call(apiKey, '', { credits: '4' })).status).toBe(429)
  expect((await call(apiKey, '', { credits: '11' })).status).toBe(402)
  expect((await call(apiKey, `/${settling}/heartbeat`, { credits: '1' })).status).toBe(200)
  const answers = await Promise.all(
    ['2', '3', '2', '3'].map((credits) => call(apiKey, `/${settling}/settle`, { credits })),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 409, 409])
  const { cost } = z
    .looseObject({ cost: z.object({ micros: z.number() }) })
    .parse(answers.find(({ status }) => status === 200)?.body)
  expect((await call(apiKey, `/${releasing}/release`, {})).status).toBe(200)
  expect((await call(apiKey, `/${releasing}/settle`, { credits: '1' })).status).toBe(409)
  await expectBalance(apiKey, 10 - cost.micros / MICROS, 0)
})

it('what a killed process held goes on in the next one, and is charged once', async () => {
  const { apiKey } = await gateway.admin.customer('10')
  const [settled, open] = [await opened(apiKey, '4'), await opened(apiKey, '3')]
  expect((await call(apiKey, `/${settled}/settle`, { credits: '2' })).status).toBe(200)
  await gateway.end('SIGKILL')
  gateway = await start()
  expect((await call(apiKey, `/${settled}/settle`, { credits: '2' })).status).toBe(200)
  expect((await call(apiKey, `/${open}/heartbeat`, { credits: '1' })).status).toBe(200)
  await expectBalance(apiKey, 8, 3)
  for (let n = 0; n < 2; n += 1) {
    expect((await call(apiKey, `/${open}/settle`, { credits: '2.5' })).status).toBe(200)
  }
  await expectBalance(apiKey, 5.5, 0)
})
