import { KEPT_LOTS_MAX, KEPT_PAUSE_MAX, KEPT_ROWS_MAX } from '../kernel/limits/posting.ts'
import { makeSheet, type AccountState, type LotState, type Sheet } from './sheet.ts'
import type { SheetContext } from './sheets.ts'

/** Sheets of a batch's accounts, and from which reserve on (Unix ms) all that can pay is there. */
export interface OpenSheets {
  readonly sheets: ReadonlyMap<string, Sheet>
  readonly since: ReadonlyMap<string, number>
}

/**
 * The accounts that this process posted to lately, as it left them: a guess that write-sheets.sql
 * checks, so nothing that is kept has to be right.
 */
export interface KeptSheets {
  /** Sheets of these accounts with their earliest reserves; null = they are to be read. */
  take(since: ReadonlyMap<string, number>, context: SheetContext): OpenSheets | null
  /** Of a transaction that committed. */
  keep(open: OpenSheets): void
  /** Was what was taken still so? Else the next batches are read, twice as many each time. */
  judge(wasSo: boolean): void
}

interface Kept {
  readonly account: AccountState
  readonly lots: LotState[]
  readonly sinceMs: number
}

/** After each miss more turns are skipped: 1, 3, 7 … and fewer after each hit. */
function makePause(max: number) {
  let next = 0
  let left = 0
  return {
    skips(): boolean {
      left = Math.max(left - 1, -1)
      return left >= 0
    },
    judge(isHit: boolean): void {
      next = isHit ? next >> 1 : Math.min(2 * next + 1, max)
      left = isHit ? 0 : next
    },
  }
}

/** `pauseMax`: batches that are read after misses, at most. */
export function makeKeptSheets(pauseMax = KEPT_PAUSE_MAX): KeptSheets {
  const known = new Map<string, Kept>() // the longest unused first
  let rows = 0
  const pause = makePause(pauseMax)

  function forget(accountId: string): void {
    rows -= 1 + (known.get(accountId)?.lots.length ?? -1)
    known.delete(accountId)
  }

  function covers(since: ReadonlyMap<string, number>): boolean {
    for (const [accountId, ms] of since) {
      const kept = known.get(accountId)
      if (kept === undefined || kept.sinceMs > ms) return false
    }
    return true
  }

  function keepOne({ account, lots }: Sheet, sinceMs: number): void {
    forget(account.id)
    const able = lots.filter((lot) => lot.remainingMicros > 0 || lot.expiredMicros > 0)
    if (able.length > KEPT_LOTS_MAX) return
    known.set(account.id, { account: { ...account }, lots: able, sinceMs })
    rows += 1 + able.length
    for (const [oldest] of known) {
      if (rows <= KEPT_ROWS_MAX) break
      forget(oldest)
    }
  }

  return {
    take(wanted, { nowMs, newId }) {
      if (!covers(wanted) || pause.skips()) return null
      const sheets = new Map<string, Sheet>()
      const since = new Map<string, number>()
      for (const accountId of wanted.keys()) {
        const kept = known.get(accountId)
        if (kept === undefined) continue
        sheets.set(accountId, makeSheet(kept.account, kept.lots, nowMs, newId))
        since.set(accountId, kept.sinceMs)
        forget(accountId) // its sheet is about to change
      }
      return { sheets, since }
    },
    keep({ sheets, since }) {
      for (const [accountId, sheet] of sheets) {
        const sinceMs = since.get(accountId)
        if (sinceMs !== undefined) keepOne(sheet, sinceMs)
      }
    },
    judge(wasSo) {
      pause.judge(wasSo)
    },
  }
}
