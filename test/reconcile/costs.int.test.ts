import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCli } from '../../src/cli.ts'
import { ADMIN_TOKEN, makeWorld, type World } from '../admin/world.ts'

const DAY_MS = 86_400_000

let world: World
let url: string
let folder: string
beforeAll(async () => {
  world = await makeWorld()
  url = await world.app.listen({ host: '127.0.0.1', port: 0 })
  folder = await mkdtemp(join(tmpdir(), 'farebox-costs-'))
})
afterAll(async () => {
  await world.close()
  await rm(folder, { recursive: true })
})

async function compare(csv: string, provider = 'openai', madeAtMs = Date.now()) {
  const path = join(folder, 'costs.csv')
  await writeFile(path, csv)
  await utimes(path, new Date(madeAtMs), new Date(madeAtMs))
  const lines = { out: [] as string[], err: [] as string[] }
  const unused = { quickstart: null, version: '0', migrate: null, openLocal: null }
  const code = await runCli(['reconcile', '--costs', path, '--provider', provider], {
    ...{ ...unused, url, adminToken: ADMIN_TOKEN, fetch, newReference: () => 'x' },
    serve: () => Promise.resolve(0),
    replay: () => Promise.reject(new Error('not here')),
    setUpStripe: () => Promise.resolve({ steps: [], environment: {} }),
    out: (text) => lines.out.push(text),
    err: (text) => lines.err.push(text),
  })
  return { code, err: lines.err.join('\n'), out: lines.out.join('\n') }
}

/** A receipt of a day, in dollars of provider cost; `rev` 1 is what recovery made of it. */
async function receipt(day: number, model: string, usd: number, fields: object = {}) {
  const { rev, upstream, holdId } = {
    ...{ rev: 2, upstream: 'openai', holdId: world.ids.uuid() },
    ...fields,
  }
  const hex = (day * DAY_MS + 43_200_000).toString(16).padStart(12, '0')
  const id = `${hex.slice(0, 8)}-${hex.slice(8)}${holdId.slice(13)}`
  await world.db.query(
    `INSERT INTO usage (hold_id, rev, account_id, key_id, version, micros, day, reserved_at,
       started_at, protocol, endpoint, upstream, model, stream, estimated, late, usage,
       provider_cost_pico_usd, price_version, posted_at)
     VALUES ($1, $2, 'a', 'k', 1, 1, $3, $4, $4, 'openai-chat', 'x', $5, $6, false, false, false,
       '{}', $7, 'p', $4)`,
    [id, rev, day, new Date(day * DAY_MS), upstream, model, String(Math.round(usd * 1e12))],
  )
}

const findings = async (state = 'open') =>
  (
    await world.db.query(
      'SELECT kind, subject, severity, at_stake_micros, evidence FROM findings WHERE state = $1 ORDER BY subject',
      [state],
    )
  ).map(({ kind, subject, severity, at_stake_micros: stake }) => [kind, subject, severity, stake])

test('a provider’s export against receipts, kept as findings until a later export agrees', async () => {
  const today = Math.floor(Date.now() / DAY_MS)
  const day = today - 40
  const text = (at: number) => new Date(at * DAY_MS).toISOString().slice(0, 10)
  // 1.50 $ of two snapshots, of which recovery knew less of one; another provider's do not count.
  const holdId = world.ids.uuid()
  await receipt(day, 'gpt-4o', 0.1, { rev: 1, holdId })
  await receipt(day, 'gpt-4o', 1, { holdId })
  await receipt(day, 'gpt-4o-2024-08-06', 0.5)
  await receipt(day, 'gpt-4o', 7, { upstream: 'other' })
  await receipt(day + 35, 'o1', 2)
  await receipt(day + 1, 'gpt-4o-mini', 3)
  const agreed = `${text(day)},"gpt-4o-2024-08-06, input",1.5,usd\n`
  const end = `${text(day + 35)},"o1-2024-12-17, output",2.005,usd\n`
  const heading = 'start_time_iso,line_item,amount_value,amount_currency\n'
  const first = await compare(
    `${heading}${agreed}${text(day + 2)},"whisper-1, audio",4,usd\n${end}${text(day + 36)},"o1, input",9,usd\n`,
    'openai',
    (day + 36) * DAY_MS + 4 * 3_600_000,
  )
  expect(first.code).toBe(0)
  expect(first.err).toContain('36 days compared, 2 differences')
  expect(first.err).toContain('1 days not judged')
  expect(await findings()).toEqual([
    ['provider_cost_unbilled', `openai ${text(day + 1)} gpt-4o-mini`, 'review', 300_000_000],
    ['provider_cost_unrecorded', `openai ${text(day + 2)} whisper-1`, 'review', 400_000_000],
  ])
  expect(first.out).toContain('provider_cost_unbilled')
  // The provider counted late, and one of the receipts is of another amount now.
  await world.db.query('UPDATE usage SET provider_cost_pico_usd = $1 WHERE model = $2', [
    ...['1000000000000', 'o1'],
  ])
  const late = `${text(day + 1)},"gpt-4o-mini, input",3.01,usd\n`
  await compare(`${heading}${agreed}${late}${end}`)
  const differs = [
    'provider_cost_differs',
    `openai ${text(day + 35)} o1-2024-12-17`.replace('-2024-12-17', ''),
    'review',
    100_500_000,
  ]
  expect(await findings()).toEqual([differs])
  expect((await findings('gone')).map(([kind]) => kind)).toEqual([
    'provider_cost_unbilled',
    'provider_cost_unrecorded',
  ])
  // Another export closes only what it is about.
  await compare(`${heading}${agreed}${late}`)
  expect(await findings()).toEqual([differs])
  const audited = await world.db.query(
    `SELECT subject FROM audit_log WHERE action = 'reconcile.costs'`,
  )
  expect(audited.length).toBeGreaterThanOrEqual(3)
  // A day that is not over is judged by nobody.
  const body = { from_day: today, to_day: today, lines: [{ day: today, model: 'x', pico: '9' }] }
  expect(await world.admin('POST', '/reconcile/costs/openai', body)).toMatchObject({
    body: { days: 0, found: [] },
  })
})

test('a mapped provider is read as the configuration says; others are refused', async () => {
  const day = Math.floor(Date.now() / DAY_MS) - 100
  await receipt(day, 'gpt-4o', 0.5, { upstream: 'azure' })
  const text = new Date(day * DAY_MS).toISOString().slice(0, 10)
  const csv = `Datum;Zähler;Kosten\n${text};GPT 4o Inp;0,5\n`
  expect(await compare(csv, 'azure')).toMatchObject({ code: 0 })
  expect((await findings()).filter(([, subject]) => String(subject).startsWith('azure'))).toEqual(
    [],
  )
  expect(await compare(csv, 'nobody')).toMatchObject({ code: 1 })
  expect((await compare(csv, 'constructor')).err).toContain('reconcile.costs')
  expect(await compare('a,b\n1,2\n', 'openai')).toMatchObject({ code: 2 })
})
