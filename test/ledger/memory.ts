import { micros, type Micros, ZERO } from '../../src/kernel/money.ts'
import { creditLot, giveBack, takeAny, takeBack } from '../../src/ledger/burn.ts'
import { addLot, OWN_LOT, type NewLot } from '../../src/ledger/burn.ts'
import { planPosting, reverseOpOf, type PostedRev } from '../../src/ledger/plan.ts'
import { netTaken } from '../../src/ledger/read-batch.ts'
import type { PostItem, PostOutcome } from '../../src/ledger/receipt.ts'
import {
  makeSheet,
  type AccountState,
  type Entry,
  type LotState,
  type Op,
  type Sheet,
} from '../../src/ledger/sheet.ts'
import { grantOpOf, turnLots } from '../../src/ledger/turn.ts'

/** One account in memory, moved by the ledger's own plans. */
export interface MemoryAccount {
  readonly account: AccountState
  readonly lots: LotState[]
  readonly entries: Entry[]
  readonly posted: Map<string, PostedRev>
  post(items: readonly PostItem[], nowMs: number): readonly PostOutcome[]
  grant(lot: NewLot, nowMs: number): LotState
  adjust(amount: number, reference: string, nowMs: number): void
  reverse(holdId: string, nowMs: number): Micros
  refund(lot: LotState, amount: Micros, reference: string, nowMs: number): void
  turn(nowMs: number): void
}

export function makeMemoryAccount(id: string, overageLimit: number): MemoryAccount {
  const account: AccountState = {
    id,
    overageLimitMicros: micros(overageLimit),
    postedMicros: ZERO,
    debtMicros: ZERO,
    overageMicros: ZERO,
    version: 0,
    changeSeq: 0,
    entrySeq: 0,
    nextChangeAtMs: null,
    meterPlan: null,
  }
  const lots: LotState[] = []
  const entries: Entry[] = []
  const posted = new Map<string, PostedRev>()
  let lastId = 0

  /** Runs `act` on a fresh sheet over everything there is, as a transaction would. */
  function within<T>(nowMs: number, act: (sheet: Sheet) => T): T {
    const newId = () => `lot-${String(++lastId).padStart(6, '0')}`
    const sheet = makeSheet(account, [...lots], nowMs, newId)
    const result = act(sheet)
    lots.push(...sheet.newLots)
    entries.push(...sheet.entries)
    return result
  }

  const rowsOf = (holdId: string) =>
    entries
      .filter(({ op }) => op.id.startsWith(`${holdId}:`))
      .map(({ op, lotId, line, micros: moved }) => ({
        op_id: op.id,
        lot_id: lotId,
        line,
        micros: moved,
      }))

  const opOf = (type: string, reference: string): Op => ({
    id: `${type}:${reference}`,
    referenceType: type,
    referenceId: reference,
    reason: type,
  })

  return {
    account,
    lots,
    entries,
    posted,
    post: (items, nowMs) =>
      within(nowMs, (sheet) => {
        const traces = new Map(
          items.map(({ receipt: { holdId } }) => [
            holdId,
            {
              taken: netTaken(holdId, rowsOf(holdId)),
              isReversed: entries.some(({ op }) => op.id === `${holdId}:reverse`),
            },
          ]),
        )
        const plan = planPosting({ items, sheets: new Map([[id, sheet]]), posted, traces })
        for (const { receipt, version } of plan.postings) {
          const { accountId, rev, micros: total } = receipt
          posted.set(receipt.holdId, { accountId, rev, micros: total, version })
        }
        return plan.outcomes
      }),
    grant: (fields, nowMs) =>
      within(nowMs, (sheet) => {
        const lot = addLot(sheet, fields)
        if (lot.effectiveAtMs <= nowMs) creditLot(sheet, lot, 'grant', grantOpOf(lot))
        return lot
      }),
    adjust(amount, reference, nowMs) {
      const op = opOf('adjustment', reference)
      within(nowMs, (sheet) => {
        if (amount < 0) {
          takeAny(sheet, 'adjustment', micros(-amount), op)
          return
        }
        const lot = addLot(sheet, {
          ...OWN_LOT,
          grantedMicros: micros(amount),
          effectiveAtMs: nowMs,
          reason: 'up',
          referenceType: 'adjustment',
          referenceId: reference,
        })
        creditLot(sheet, lot, 'adjustment', op)
      })
    },
    reverse: (holdId, nowMs) =>
      within(nowMs, (sheet) => {
        if (entries.some(({ op }) => op.id === `${holdId}:reverse`)) return ZERO
        const taken = netTaken(holdId, rowsOf(holdId))
        giveBack(sheet, taken, reverseOpOf(holdId, 'test'))
        return micros(taken.reduce((sum, part) => sum + part.micros, 0))
      }),
    refund(lot, amount, reference, nowMs) {
      within(nowMs, (sheet) => {
        takeBack(sheet, lot, 'refund', amount, opOf('refund', reference))
      })
    },
    turn(nowMs) {
      within(nowMs, turnLots)
    },
  }
}
