import { invariant } from '../kernel/invariant.ts'
import { micros, subMicros, ZERO, type Micros } from '../kernel/money.ts'
import { chargeUsage, giveBack, lastTaken, type Taken } from './burn.ts'
import type { PostItem, PostOutcome, Receipt, StoredAnswer } from './receipt.ts'
import { moveLine, type Op, type Sheet } from './sheet.ts'

/** The highest rev of a hold that is in Postgres. */
export interface PostedRev {
  readonly accountId: string
  readonly rev: 1 | 2
  readonly micros: Micros
  readonly version: number
}

/** What a hold's earlier rev took, in the order in which it did. */
export interface Trace {
  readonly taken: readonly Taken[]
  /** An operator has given it all back. */
  readonly isReversed: boolean
}

/** All that a batch's fate depends on, read after its accounts were locked. */
export interface PostingInput {
  readonly items: readonly PostItem[]
  readonly sheets: ReadonlyMap<string, Sheet>
  readonly posted: ReadonlyMap<string, PostedRev>
  /** Of holds with rev 1 posted and a rev 2 among the items. */
  readonly traces: ReadonlyMap<string, Trace>
}

/** One receipt that becomes its hold's total. */
export interface Posting {
  readonly receipt: Receipt
  readonly late: boolean
  /** `accounts.version` of this transaction. */
  readonly version: number
  /** How far the hold's total moves: its micros less those of an earlier rev. */
  readonly deltaMicros: Micros
  /** The part of the delta that went on the overage line. */
  readonly overageMicros: Micros
  /** The part of the delta that promo credits paid or that is owed: it brings nothing. */
  readonly unearnedMicros: Micros
  /** No earlier rev of its hold was posted. */
  readonly isFirst: boolean
  /** Its hold was given back before, so it moves nothing. */
  readonly isVoid: boolean
  /** Kept with it for duplicates of the request. */
  readonly answer: StoredAnswer | null
}

export interface PostingPlan {
  readonly outcomes: readonly PostOutcome[]
  readonly postings: readonly Posting[]
}

/**
 * Decides a batch: notes every movement on the sheets and answers what is to be written beside
 * them. Throws InvariantError for a receipt that cannot be posted. Source: design §3 (post), §5.
 */
export function planPosting(input: PostingInput): PostingPlan {
  const ruling = rulingItems(input.items)
  const postings = new Map<string, Posting>()
  const touched = new Set<Sheet>()
  for (const [holdId, { item, unbacked }] of ruling) {
    const before = input.posted.get(holdId)
    if (before !== undefined && before.rev >= item.receipt.rev) continue
    const sheet = input.sheets.get(item.receipt.accountId)
    invariant(sheet !== undefined, `no account ${item.receipt.accountId}`)
    if (!touched.has(sheet)) sheet.account.version += 1
    touched.add(sheet)
    if (unbacked || before !== undefined) sheet.isChangedOutside = true
    postings.set(holdId, planOne(sheet, item, before, input.traces.get(holdId)))
  }
  for (const sheet of touched) if (sheet.isChangedOutside) sheet.account.changeSeq += 1
  const outcomes = input.items.map((item, at) =>
    outcomeOf(item.receipt.holdId, at, ruling, postings, input.posted),
  )
  return { outcomes, postings: [...postings.values()] }
}

interface Ruling {
  readonly item: PostItem
  /** Where it is among the items; the same one may be there twice. */
  readonly at: number
  readonly unbacked: boolean
}

/** Of several items of one hold the highest rev rules, the first of equals. */
function rulingItems(items: readonly PostItem[]): Map<string, Ruling> {
  const ruling = new Map<string, Ruling>()
  for (const [at, item] of items.entries()) {
    const known = ruling.get(item.receipt.holdId)
    const isHigher = known === undefined || item.receipt.rev > known.item.receipt.rev
    ruling.set(item.receipt.holdId, {
      ...(isHigher ? { item, at } : known),
      unbacked: item.unbacked || (known?.unbacked ?? false),
    })
  }
  return ruling
}

function outcomeOf(
  holdId: string,
  at: number,
  ruling: ReadonlyMap<string, Ruling>,
  postings: ReadonlyMap<string, Posting>,
  posted: ReadonlyMap<string, PostedRev>,
): PostOutcome {
  const posting = postings.get(holdId)
  const version = posting?.version ?? posted.get(holdId)?.version
  invariant(version !== undefined, `no version for hold ${holdId}`)
  const isNew = posting !== undefined && ruling.get(holdId)?.at === at
  if (!isNew) return { holdId, kind: 'noop', version }
  return { holdId, kind: 'new', version, ...(posting.isFirst ? {} : { isCorrection: true }) }
}

function planOne(
  sheet: Sheet,
  { receipt, answer }: PostItem,
  before: PostedRev | undefined,
  trace: Trace | undefined,
): Posting {
  const total = micros(receipt.micros)
  invariant(total >= 0, `a charge below zero: ${total}`)
  if (before !== undefined) {
    invariant(before.accountId === receipt.accountId, 'the hold belongs to another account')
    invariant(trace !== undefined, `no trace of hold ${receipt.holdId}`)
  }
  const delta = subMicros(total, before?.micros ?? ZERO)
  const overageBefore = sheet.account.overageMicros
  const entriesBefore = sheet.entries.length
  if (trace?.isReversed === true) chargeForNothing(sheet, receipt, delta)
  else if (delta > 0) chargeUsage(sheet, delta, receipt.reservedAtMs, opOf(receipt))
  else if (delta < 0 && trace !== undefined) {
    giveBack(sheet, lastTaken(trace.taken, subMicros(ZERO, delta)), opOf(receipt))
  }
  return {
    receipt,
    late: before !== undefined || receipt.late === true,
    version: sheet.account.version,
    deltaMicros: delta,
    overageMicros: subMicros(sheet.account.overageMicros, overageBefore),
    unearnedMicros: unearnedSince(sheet, entriesBefore),
    isFirst: before === undefined,
    isVoid: trace?.isReversed === true,
    answer,
  }
}

function unearnedSince(sheet: Sheet, start: number): Micros {
  const promo = new Set(sheet.lots.filter(({ kind }) => kind === 'promo').map(({ id }) => id))
  let sum = ZERO
  for (const { type, line, lotId, micros: moved } of sheet.entries.slice(start)) {
    if (type === 'expiry' || type === 'reinstatement') continue
    if (line === 'debt' || (lotId !== null && promo.has(lotId))) sum = subMicros(sum, moved)
  }
  return sum
}

/** Names the entries of one rev. Source: design §5 (op_id = hold id + rev). */
const opOf = (receipt: Pick<Receipt, 'holdId' | 'rev'>): Op => ({
  id: `${receipt.holdId}:${receipt.rev}`,
  referenceType: 'usage',
  referenceId: receipt.holdId,
  reason: null,
})

/** Names the entries of an operator's reversal of a whole receipt. */
export const reverseOpOf = (holdId: string, reason: string): Op => ({
  id: `${holdId}:reverse`,
  referenceType: 'reversal',
  referenceId: holdId,
  reason,
})

/**
 * A late receipt of a hold that was reversed meanwhile: its total changes on the books, and the
 * reversal with it, so nothing moves. On the debt line, which the two entries leave as it was.
 */
function chargeForNothing(sheet: Sheet, receipt: Receipt, delta: Micros): void {
  if (delta === 0) return
  const reverse = reverseOpOf(receipt.holdId, 'reversed before its last receipt')
  const undo = { ...reverse, id: `${reverse.id}:${receipt.rev}` }
  const back = subMicros(ZERO, delta)
  if (delta > 0) {
    moveLine(sheet, 'debt', 'usage', back, opOf(receipt))
    moveLine(sheet, 'debt', 'reversal', delta, undo)
    return
  }
  moveLine(sheet, 'debt', 'adjustment', delta, undo)
  moveLine(sheet, 'debt', 'reversal', back, opOf(receipt))
}
