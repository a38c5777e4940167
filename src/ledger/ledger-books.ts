import { isRefusal } from '../kernel/errors.ts'
import type { Ids } from '../kernel/ids.ts'
import { invariant } from '../kernel/invariant.ts'
import { micros, subMicros, ZERO, type Micros } from '../kernel/money.ts'
import type { Db, Tx } from '../store/db.ts'
import { microsOf, numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { AdjustInput, Books, GrantInput, PastCount } from './books.ts'
import { addLot, creditLot, giveBack, OWN_LOT, takeAny } from './burn.ts'
import { reverseOpOf } from './plan.ts'
import { netTaken } from './read-batch.ts'
import { makeReads, UUID, viewLot } from './reads.ts'
import { roomAbove, roomBelow } from './room.ts'
import { wakeAt, type LotState, type Op, type Sheet } from './sheet.ts'
import { openSheet, readLot, writeChange, type SheetContext } from './sheets.ts'
import { turnEach } from './turn-each.ts'
import { grantOpOf, turnLots } from './turn.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'find-lot',
  'sum-op',
  'due-accounts',
  'find-hold',
  'read-traces',
])

export interface BooksOptions {
  readonly db: Db
  readonly ids: Ids
  /** Called in the transaction that reverses a hold, and by how much the overage fell. */
  readonly reversed?:
    | ((
        tx: Tx,
        reversal: { readonly holdId: string; readonly overageMicros: Micros },
        nowMs: number,
      ) => Promise<void>)
    | undefined
}

/**
 * Grants, adjustments, reversals, and the passing of time. Each is one transaction under the
 * account's lock that raises version and change_seq. Source: design §5.
 */
export function makeBooks({ db, ids, reversed }: BooksOptions): Books {
  const contextAt = (nowMs: number) => ({ nowMs, newId: () => ids.uuid() })

  return {
    ...makeReads(db),

    grant: (input, nowMs) =>
      db.tx(async (tx) => {
        const sheet = await openSheet(tx, input.accountId, [], contextAt(nowMs))
        return sheet === null ? null : grantIn(tx, sheet, input)
      }),

    adjust: (input, nowMs) =>
      db.tx(async (tx) => {
        const sheet = await openSheet(tx, input.accountId, [], contextAt(nowMs))
        return sheet === null ? null : adjustIn(tx, sheet, input)
      }),

    async reverse(holdId, reason, nowMs) {
      if (!UUID.test(holdId)) return null
      const [hold] = await db.query(sql['find-hold'], [holdId])
      if (hold === undefined) return null
      const accountId = textOf(hold, 'account_id')
      return db.tx(async (tx) => {
        // Locked once without its lots: what the hold took is only certain under the lock.
        const locked = await openSheet(tx, accountId, [], contextAt(nowMs))
        invariant(locked !== null, `account ${accountId} has receipts and does not exist`)
        const context = { ...contextAt(nowMs), reversed }
        return reverseIn(tx, accountId, holdId.toLowerCase(), reason, context)
      })
    },

    async turn(nowMs, limit) {
      const due = await db.query(sql['due-accounts'], [new Date(nowMs), limit])
      return turnEach(
        due.map((row) => textOf(row, 'id')),
        (accountId) => db.tx((tx) => turnOne(tx, accountId, contextAt(nowMs))),
      )
    },
  }
}

async function turnOne(tx: Tx, accountId: string, context: SheetContext): Promise<boolean> {
  const sheet = await openSheet(tx, accountId, [], context)
  if (sheet === null) return false
  const before = sheet.account.nextChangeAtMs
  const happened = turnLots(sheet)
  if (happened || sheet.account.nextChangeAtMs !== before) await writeChange(tx, sheet)
  return happened
}

/** A grant within a transaction of the caller's. Throws where the account does not exist. */
export async function grantWithin(tx: Tx, input: GrantInput, context: SheetContext): Promise<void> {
  const sheet = await openSheet(tx, input.accountId, [], context)
  invariant(sheet !== null, `account ${input.accountId} does not exist`)
  const granted = await grantIn(tx, sheet, input)
  invariant(
    !isRefusal(granted),
    `account ${input.accountId} has no room for ${input.micros} micros`,
  )
}

const pastCount = (roomMicros: Micros): PastCount => ({ ok: false, roomMicros })

async function grantIn(tx: Tx, sheet: Sheet, input: GrantInput) {
  invariant(input.micros > 0, 'a grant of nothing')
  const { accountId, referenceType, referenceId } = input
  const [known] = await tx.query(sql['find-lot'], [accountId, referenceType, referenceId])
  if (known !== undefined) return { lot: viewLot(accountId, readLot(known)), created: false }
  const room = roomAbove(sheet)
  if (input.micros > room) return pastCount(room)
  const lot = addLot(sheet, {
    kind: input.kind,
    priority: input.priority,
    grantedMicros: input.micros,
    effectiveAtMs: input.effectiveAtMs ?? sheet.nowMs,
    expiresAtMs: input.expiresAtMs,
    reason: input.reason,
    referenceType,
    referenceId,
  })
  if (lot.effectiveAtMs <= sheet.nowMs) creditLot(sheet, lot, 'grant', grantOpOf(lot))
  else wakeAt(sheet.account, lot.effectiveAtMs)
  await writeChange(tx, sheet)
  return { lot: viewLot(accountId, lot), created: true }
}

async function adjustIn(tx: Tx, sheet: Sheet, input: AdjustInput) {
  invariant(input.micros !== 0, 'an adjustment of nothing')
  const op: Op = {
    id: `adjustment:${input.accountId}:${input.referenceId}`,
    referenceType: 'adjustment',
    referenceId: input.referenceId,
    reason: input.reason,
  }
  const known = await movedBy(tx, op)
  if (known !== null) return { micros: known, created: false }
  const room = input.micros > 0 ? roomAbove(sheet) : roomBelow(sheet)
  if (Math.abs(input.micros) > room) return pastCount(room)
  if (input.micros > 0) creditLot(sheet, addOwnLot(sheet, input.micros, op), 'adjustment', op)
  else takeAny(sheet, 'adjustment', subMicros(ZERO, input.micros), op)
  await writeChange(tx, sheet)
  return { micros: micros(input.micros), created: true }
}

const addOwnLot = (sheet: Sheet, amount: Micros, op: Op): LotState =>
  addLot(sheet, {
    ...OWN_LOT,
    grantedMicros: amount,
    effectiveAtMs: sheet.nowMs,
    reason: op.reason ?? op.referenceType,
    referenceType: op.referenceType,
    referenceId: op.referenceId,
  })

/** null = nothing: the operation has not happened. */
async function movedBy(tx: Tx, op: Op): Promise<Micros | null> {
  const [sum] = await tx.query(sql['sum-op'], [op.id])
  if (sum === undefined || numberOf(sum, 'entries') === 0) return null
  return microsOf(sum, 'micros')
}

async function reverseIn(
  tx: Tx,
  accountId: string,
  holdId: string,
  reason: string,
  context: SheetContext & Pick<BooksOptions, 'reversed'>,
) {
  const op = reverseOpOf(holdId, reason)
  const [rows, known] = await Promise.all([
    tx.query(sql['read-traces'], [[holdId]]),
    movedBy(tx, op),
  ])
  if (known !== null) return { micros: known, created: false }
  const taken = netTaken(holdId, rows)
  const total = taken.reduce((sum, part) => sum + part.micros, 0)
  if (total === 0) return { micros: ZERO, created: false }
  const lotIds = taken.flatMap(({ lotId }) => (lotId === null ? [] : [lotId]))
  const sheet = await openSheet(tx, accountId, lotIds, context)
  invariant(sheet !== null, `account ${accountId} does not exist`)
  const room = roomAbove(sheet)
  if (total > room) return pastCount(room)
  const before = sheet.account.overageMicros
  giveBack(sheet, taken, op)
  await writeChange(tx, sheet)
  const overageMicros = subMicros(before, sheet.account.overageMicros)
  await context.reversed?.(tx, { holdId, overageMicros }, context.nowMs)
  return { micros: micros(total), created: true }
}
