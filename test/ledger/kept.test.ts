import { expect, test } from 'vitest'
import { KEPT_LOTS_MAX, KEPT_ROWS_MAX } from '../../src/kernel/limits/posting.ts'
import { micros, ZERO } from '../../src/kernel/money.ts'
import { makeKeptSheets } from '../../src/ledger/kept.ts'
import { makeSheet, type LotState, type Sheet } from '../../src/ledger/sheet.ts'
import { T0 } from './support.ts'

const context = { nowMs: T0, newId: () => 'id' }

function sheet(id: string, lots: number, version = 1): Sheet {
  const lot = (n: number): LotState => ({
    id: `${id}-${n}`,
    kind: 'paid',
    priority: 0,
    grantedMicros: micros(5),
    effectiveAtMs: T0,
    expiresAtMs: null,
    createdAtMs: T0,
    reason: '',
    referenceType: 'test',
    referenceId: String(n),
    state: 'active',
    remainingMicros: micros(5),
    expiredMicros: ZERO,
    expiredAtMs: null,
  })
  const account = {
    id,
    overageLimitMicros: ZERO,
    meterPlan: null,
    postedMicros: ZERO,
    debtMicros: ZERO,
    overageMicros: ZERO,
    version,
    changeSeq: 0,
    entrySeq: 0,
    nextChangeAtMs: null,
  }
  return makeSheet(
    account,
    Array.from({ length: lots }, (_, n) => lot(n)),
    T0,
    context.newId,
  )
}

const open = (...sheets: readonly Sheet[]) => ({
  sheets: new Map(sheets.map((one) => [one.account.id, one])),
  since: new Map(sheets.map((one) => [one.account.id, T0])),
})
const wanted = (id: string, ms = T0) => new Map([[id, ms]])

test('the longest unused are forgotten past the bound, with all their lots', () => {
  const kept = makeKeptSheets()
  const full = KEPT_ROWS_MAX / (1 + KEPT_LOTS_MAX)
  const idOf = (n: number) => `acc-${n}`
  for (let n = 0; n < full; n++) kept.keep(open(sheet(idOf(n), KEPT_LOTS_MAX)))
  kept.keep(open(sheet(idOf(0), KEPT_LOTS_MAX))) // used again
  kept.keep(open(sheet(idOf(full), KEPT_LOTS_MAX)))
  expect(kept.take(wanted(idOf(1)), context)).toBeNull()
  for (const n of [0, 2, full]) expect(kept.take(wanted(idOf(n)), context)).not.toBeNull()
})

test('an account with more lots than the bound is not kept', () => {
  const kept = makeKeptSheets()
  kept.keep(open(sheet('huge', 3)))
  kept.keep(open(sheet('huge', KEPT_LOTS_MAX + 1)))
  expect(kept.take(wanted('huge'), context)).toBeNull()
})

test('what is taken is gone until it is kept again, as it was left', () => {
  const kept = makeKeptSheets()
  kept.keep(open(sheet('a', 2, 7)))
  const taken = kept.take(wanted('a'), context)
  expect(taken?.sheets.get('a')).toMatchObject({ was: { version: 7 }, account: { version: 7 } })
  expect(kept.take(wanted('a'), context)).toBeNull()
  const one = taken?.sheets.get('a')
  const [empty] = one?.lots ?? []
  if (taken === null || !one || !empty) throw new Error('not taken')
  one.account.version = 8
  empty.remainingMicros = ZERO
  kept.keep(taken)
  const again = kept.take(wanted('a'), context)?.sheets.get('a')
  expect(again?.was.version).toBe(8)
  expect(again?.lots).toHaveLength(1)
})

test('a reserve from before what is kept covers is read', () => {
  const kept = makeKeptSheets()
  kept.keep(open(sheet('a', 1)))
  expect(kept.take(wanted('a', T0 - 1), context)).toBeNull()
  expect(kept.take(wanted('a', T0), context)).not.toBeNull()
})
