import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  form,
  formsKept,
  mp3,
  secondsOf,
  sendForm,
  TELLS_FILES,
  TRANSCRIPTIONS,
} from '../e2e/support/forms.ts'
import { answerJson } from '../e2e/support/upstream.ts'
import type { Customer } from '../support/admin.ts'
import type { Gateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { expectAtRest, readCharges, verify } from './support/books.ts'
import { readHolds } from './support/holds.ts'
import { LEASE_MS, startFaultWorld, type FaultWorld } from './support/world.ts'

const MB = 1024 * 1024
const SHORT = pathToFileURL(join(import.meta.dirname, '../support/short-uploads.ts')).href
/** As long as a request may take to come where it is to be too long. */
const REQUEST_MS = 4_000
const SOUND = mp3(5 * MB)
const CREDITS = '10000'

let world: FaultWorld
let impatient: FaultWorld
beforeAll(async () => {
  const env = { NODE_OPTIONS: `--import ${SHORT}`, TEST_REQUEST_MS: String(REQUEST_MS) }
  ;[world, impatient] = await Promise.all([startFaultWorld(), startFaultWorld({ env })])
})
afterAll(async () => {
  await Promise.all([world.end(), impatient.end()])
})

/** A form of 5 MB of which 2 MB have come, and gone on to the upstream. */
async function uploading(where: FaultWorld, model: string) {
  const gateway = await where.gateway(0)
  const customer = await gateway.admin.customer(CREDITS)
  where.upstream.on(model, (call) => {
    answerJson(call, { text: 'Otters.' })
  })
  const body = form(['model', model], ['file', SOUND])
  const { out, answer } = sendForm(gateway, TRANSCRIPTIONS, customer.apiKey, body.length)
  out.write(body.subarray(0, 2 * MB))
  const arriving = await where.upstream.arriving(model)
  await until(() => arriving.received() > 2 * MB - 100)
  await until(async () => (await readHolds(where, customer.accountId)).size === 1)
  expect(formsKept(gateway)).toBe(TELLS_FILES ? 1 : 0)
  const finish = (): void => {
    out.end(body.subarray(2 * MB))
  }
  return { gateway, customer, body, out, answer, arriving, finish }
}

/** It ended once: charged for its seconds, or not at all; nothing of it is held or kept. */
async function expectEnded(
  where: FaultWorld,
  gateway: Gateway,
  customer: Customer,
  charges: number,
): Promise<void> {
  await until(() => formsKept(gateway) === 0)
  await expectAtRest(gateway, [customer])
  const charged = [...(await readCharges(where, [customer])).values()]
  expect(charged).toHaveLength(charges)
  const { posted } = await gateway.admin.balance(customer.apiKey)
  const spent = charged.reduce((sum, { moved }) => sum + moved, 0)
  expect(posted.micros).toBe(Number(CREDITS) * 1_000_000 - spent)
  if (charges > 0) expect(spent / (secondsOf(SOUND) * 34_560)).toBeCloseTo(1, 2)
  expect((await verify(gateway, customer.accountId)).breaches).toEqual([])
}

test('a hold that Redis lost in the middle of an upload: it goes on, and is charged once', async () => {
  const model = 'whisper-emptied'
  const { gateway, customer, body, answer, finish } = await uploading(world, model)
  await world.redis.flushall('SYNC')
  finish()
  expect(await answer).toMatchObject({ status: 200, text: '{"text":"Otters."}' })
  expect(world.upstream.calls(model).map(({ raw }) => raw.equals(body))).toEqual([true])
  await expectEnded(world, gateway, customer, 1)
})

test('a hold that Redis lost, put back by its renewal, while the upload goes on', async () => {
  const model = 'whisper-renewed'
  const { gateway, customer, answer, finish } = await uploading(world, model)
  await world.redis.flushall('SYNC')
  await until(async () => (await readHolds(world, customer.accountId)).size === 1)
  finish()
  expect((await answer).status).toBe(200)
  expect(world.upstream.calls(model)).toHaveLength(1)
  await expectEnded(world, gateway, customer, 1)
})

test('a hold that another gateway gave up meanwhile is put back, and is charged once', async () => {
  const model = 'whisper-frozen'
  const { gateway, customer, body, answer, finish } = await uploading(world, model)
  await world.gateway(1)
  gateway.signal('SIGSTOP')
  try {
    await until(async () => (await readHolds(world, customer.accountId)).size === 0)
  } finally {
    gateway.signal('SIGCONT')
  }
  finish()
  expect(await answer).toMatchObject({ status: 200, text: '{"text":"Otters."}' })
  expect(world.upstream.calls(model).map(({ raw }) => raw.equals(body))).toEqual([true])
  await expectEnded(world, gateway, customer, 1)
})

test('an upload that stalls for too long is told so; nothing of it is used, charged or kept', async () => {
  const model = 'whisper-stalled'
  const { gateway, customer, answer, arriving } = await uploading(impatient, model)
  const { status, text } = await answer
  expect([status, JSON.parse(text)]).toMatchObject([
    400,
    { error: { type: 'invalid_request_error', code: 'request_incomplete' } },
  ])
  await until(() => arriving.isCut())
  expect(impatient.upstream.calls(model)).toEqual([])
  await expectEnded(impatient, gateway, customer, 0)
  expect(LEASE_MS).toBeLessThan(REQUEST_MS)
})
