import { expect, test } from 'vitest'
import { runCli } from '../../src/cli.ts'
import type { CliDeps } from '../../src/app/cli/context.ts'
import { micros } from '../../src/kernel/money.ts'
import { ReplayRefusedError } from '../../src/reconcile/replay/begin.ts'
import type { ReplayReport } from '../../src/reconcile/replay/replay.ts'

const INTO = 'postgres://localhost/empty'

const clean: ReplayReport = {
  ok: true,
  copied: { accounts: 3, checkouts: 2, attempts: 1 },
  events: { stored: 9, looked: 4, unfinished: [] },
  walked: { seen: 5, looked: 1 },
  compared: {
    ...{ accounts: 3, sales: 2, differences: [], differencesTotal: 0 },
    billed: { invoices: 2, entries: 3, micros: micros(7_500_000) },
    apart: [
      { referenceType: 'admin', movementType: 'grant', entries: 1, micros: micros(5_000_000) },
    ],
  },
}

const differing: ReplayReport = {
  ...clean,
  ok: false,
  compared: {
    ...clean.compared,
    differences: [
      {
        ...{ accountId: 'acct_1', key: 'checkout:cs_1', op: 'grant:checkout:cs_1', what: 'grant' },
        ...{ direction: 'only_in_source', source: 1_500_000, replay: null },
      },
    ],
    differencesTotal: 1,
  },
}

async function farebox(replay: CliDeps['replay'], ...args: readonly string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const never = (): never => {
    throw new Error('not asked for')
  }
  const code = await runCli(args, {
    ...{ version: '0', url: null, adminToken: null, quickstart: null, migrate: null },
    ...{ openLocal: null, serve: never, setUpStripe: never, fetch: never, newReference: never },
    replay,
    out: (text) => out.push(text),
    err: (text) => err.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const answer = (report: ReplayReport) => () => Promise.resolve(report)

test('a replay without a difference ends with 0 and tells apart what is not Stripe’s', async () => {
  const { code, out } = await farebox(answer(clean), 'replay', '--from-zero', '--into', INTO)
  expect(code).toBe(0)
  expect(out).toMatch(/admin +grant +1 +5\n/)
  expect(out).toContain('2 invoices closed 7.5 credits of overage (3 entries)')
  expect(out).toContain('so it cannot be made again')
  expect(out).toContain('The same 2 sales and the same access in 3 accounts: no difference.')
})

test('a difference is printed with both sides and ends with 1', async () => {
  const told = await farebox(answer(differing), 'replay', '--from-zero', '--into', INTO)
  expect(told.code).toBe(1)
  expect(told.out).toMatch(/acct_1 +grant:checkout:cs_1 +grant +only_in_source +1\.5 +–\n/)
  const args = ['--json', 'replay', '--from-zero', '--into', INTO]
  const json = await farebox(answer(differing), ...args)
  expect(json.code).toBe(1)
  expect(JSON.parse(json.out)).toMatchObject({
    ...{ ok: false, differences_total: 1 },
    differences: [
      {
        ...{ account_id: 'acct_1', op: 'grant:checkout:cs_1', kind: 'grant' },
        ...{ direction: 'only_in_source', source: 1_500_000, replay: null },
      },
    ],
    not_from_stripe: [{ reference_type: 'admin', micros: 5_000_000 }],
  })
})

test('an event that could not be looked at ends with 1 and says to run again', async () => {
  const unfinished = [{ id: 'evt_1', type: 'invoice.paid', outcome: 'Stripe is away' }]
  const report = { ...clean, ok: false, events: { ...clean.events, unfinished } }
  const { code, out } = await farebox(answer(report), 'replay', '--from-zero', '--into', INTO)
  expect(code).toBe(1)
  expect(out).toMatch(/run the same command again:\n.*\nevt_1 +invoice.paid +Stripe is away/)
})

test('wrong use is told, and nothing is replayed', async () => {
  const never = () => Promise.reject(new Error('replayed'))
  for (const args of [
    ['replay', '--into', INTO],
    ['replay', '--from-zero'],
    ['replay', '--from-zero', '--into', 'redis://localhost'],
    ['replay', '--from-zero', '--into', 'farebox'],
  ]) {
    expect(await farebox(never, ...args)).toMatchObject({ code: 2, out: '' })
  }
  const refuses = () => Promise.reject(new ReplayRefusedError('--into is in use already.'))
  const refused = await farebox(refuses, 'replay', '--from-zero', '--into', INTO)
  expect(refused).toEqual({ code: 2, out: '', err: 'farebox: --into is in use already.' })
})
