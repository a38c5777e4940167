import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeEmbeddedStore } from '../../src/credits/embedded/store.ts'
import { makeEngine } from '../../src/credits/engine.ts'
import { makeIncarnations } from '../../src/credits/incarnations.ts'
import { makeCredits } from '../../src/credits/lifecycle.ts'
import { makeJobs } from '../../src/gateway/background/jobs.ts'
import { makePoller } from '../../src/gateway/background/poller.ts'
import { makeRunning } from '../../src/gateway/running.ts'
import { makeStoredIds } from '../../src/gateway/stored/stored-ids.ts'
import { makeUpstreams } from '../../src/gateway/upstreams.ts'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros, ZERO } from '../../src/kernel/money.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import { makePoster } from '../../src/ledger/group-commit.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import { ask, bookOf, priceOf } from '../pricing/support.ts'
import { testDb } from '../store/databases.ts'
import { makeAccounts } from '../../src/access/accounts.ts'
import { makeKeys } from '../../src/access/keys.ts'

const HOUR_MS = 3_600_000
let aheadMs = 0
const clock: Clock = { ...systemClock, now: () => Date.now() + aheadMs }
const ids = makeIds(clock)
const own = await testDb('postgres')
const { db } = own

let polls = 0
/** What the provider says of a response; null = it is away. */
const says = new Map<string, string | null>()
const provider = createServer((request, out) => {
  polls += 1
  const id = request.url?.split('/').at(-1) ?? ''
  const status = says.get(id) ?? null
  out.writeHead(status === null ? 500 : 200, { 'content-type': 'application/json' })
  out.end(JSON.stringify({ id, status, model: 'm', usage: null, output: [] }))
})
beforeAll(() => new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve)))
afterAll(async () => {
  provider.close()
  await own[Symbol.asyncDispose]()
})

const book = bookOf({ prices: [{ model: 'm', input_usd_per_mtok: '1' }] })
const NO_LIMITS = {
  ...{ name: 'k', models: null, endpoints: null, budget: null, requestsPerMinute: null },
  ...{ tokensPerMinute: null, maxConcurrency: null, expiresAtMs: null },
}

async function makeSide() {
  const address = provider.address()
  const port = typeof address === 'object' ? address?.port : null
  const transport = makeEmbeddedStore({ clock }).connect()
  const engine = makeEngine({
    transport,
    incarnations: makeIncarnations({ db, clock }),
    clock,
    ids,
    log: silentLog,
  })
  const stored = makeStoredIds({ db, clock })
  const ledger = makePostingLedger({ db, ids })
  const poster = makePoster({ ledger, clock, log: silentLog, postWaitMs: 5_000 })
  const credits = makeCredits({
    ...{ engine, ledger, poster, clock, log: silentLog, owner: 'test', leaseMs: 30_000 },
    durability: 'posted',
    on: { loaded: () => undefined, recovered: () => undefined },
  })
  const upstreams = makeUpstreams([
    {
      ...{ name: 'local', protocol: 'openai', baseUrl: `http://127.0.0.1:${String(port)}` },
      ...{ apiKey: null, models: null, onDisconnect: 'abort', unbounded: 'cap' },
      ...{ unboundedReserveTokens: 0, outputLimitField: 'max_tokens', storedIds: 'own' },
      ...{ responseMsMax: 5_000, fallback: [] },
      breakerSettings: { failurePercent: 50, callsMin: 20, openMs: 1_000 },
    },
  ])
  const account = { id: 'acct', subjectRef: null, name: 'A', email: null, stripeCustomerId: null }
  const limits = { creditLimitMicros: ZERO, overageLimitMicros: ZERO, markup: null }
  await makeAccounts({ db, clock, ids }).create({ ...account, ...limits, actor: 'test' })
  const keys = makeKeys({ db, clock, ids, mode: 'test' })
  await keys.create({ id: 'key', accountId: 'acct', limits: NO_LIMITS, actor: 'test' })
  const lot = { kind: 'paid', priority: 0, effectiveAtMs: null, expiresAtMs: null } as const
  const reference = { reason: 'x', referenceType: 'test', referenceId: 'x' }
  const grant = { accountId: 'acct', micros: micros(1_000_000), ...lot, ...reference }
  await makeBooks({ db, ids }).grant(grant, clock.now())
  const jobs = makeJobs({ db, stored })
  const poller = makePoller({
    ...{ jobs, engine, credits, prices: book, clock, log: silentLog, running: makeRunning() },
    tokens: { count: () => Promise.resolve(null) },
    bodies: { meter: () => Promise.resolve(null) },
    upstreams: () => upstreams,
  })
  return { credits, jobs, poller, upstreams }
}

it('a response that never ends is asked for two days, then charged for its input, once', async () => {
  const { credits, jobs, poller, upstreams } = await makeSide()
  const begin = async (responseId: string): Promise<string> => {
    const draft = {
      ...{ holdId: ids.uuid(), accountId: 'acct', keyId: 'key', startedAtMs: clock.now() },
      ...{ protocol: 'openai-responses', endpoint: 'responses', upstream: 'local', model: 'm' },
      ...{ stream: false, estimated: true, usage: { input_tokens: 700 } },
      ...{ providerCostPicoUsd: '0', priceVersion: 'v', httpStatus: 200 },
      ...{ firstByteMs: 1, durationMs: 1 },
    }
    const wanted = { wantMicros: micros(200_000), leastMicros: micros(200_000) }
    const lent = await credits.lend({ draft, ...wanted, tokens: 0, keySeq: 0, leaseMs: 180_000 })
    if (!lent.ok) throw new Error(lent.message)
    const { micros: held, day, reservedAtMs } = lent.reply
    const price = book.keep(priceOf(book, ask('local', 'm')))
    const terms = {
      ...{ upstream: 'local', model: 'm', serviceTier: null, markup: null, price },
      ...{ inputTokens: 700, outputTokensMax: 50, progressMicros: micros(84_000), answer: null },
    }
    const job = { holdId: draft.holdId, accountId: 'acct', responseId, micros: held, day }
    await jobs.insert({ ...job, reservedAtMs, draft, terms, createdAtMs: clock.now() }, clock.now())
    return draft.holdId
  }
  /** All that is due at that age is asked about once. */
  const atHours = async (hours: number): Promise<number> => {
    aheadMs = hours * HOUR_MS
    const before = polls
    await poller.tick()
    await poller.idle()
    return polls - before
  }
  const charged = () => db.query('SELECT hold_id, micros, estimated, usage FROM usage')

  const holds = await Promise.all(['resp_stuck', 'resp_away'].map(begin))
  says.set('resp_stuck', 'in_progress')
  expect(await atHours(1)).toBe(2)
  expect(await atHours(47.9)).toBe(2)
  expect(await charged()).toEqual([])
  expect(await atHours(48.1)).toBe(2)
  const rows = await charged()
  expect(rows.map((row) => row.hold_id).sort()).toEqual([...holds].sort())
  for (const row of rows) {
    expect(row).toMatchObject({ micros: 84_000, estimated: true, usage: { input_tokens: 700 } })
  }
  says.set('resp_stuck', 'completed')
  expect(await atHours(96)).toBe(0)
  expect(await charged()).toHaveLength(2)
  expect(await db.query('SELECT 1 FROM background_jobs')).toEqual([])
  await upstreams.destroy()
})
