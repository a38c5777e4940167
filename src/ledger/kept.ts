import { KEPT_PAUSE_MAX, KEPT_ROWS_MAX } from '../kernel/limits-posting.ts'
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

/** `pauseMax`: batches that are read after misses, at most. */
export function makeKeptSheets(pauseMax = KEPT_PAUSE_MAX): KeptSheets {
  const known = new Map<string, Kept>() // the longest unused first
  let rows = 0
  let pause = 0
  let left = 0

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
    known.set(account.id, { account: { ...account }, lots: able, sinceMs })
    rows += 1 + able.length
    for (const [oldest] of known) {
      if (rows <= KEPT_ROWS_MAX) break
      forget(oldest)
    }
  }

  return {
    take(wanted, { nowMs, newId }) {
      if (!covers(wanted)) return null
      if (left > 0) {
        left -= 1
        return null
      }
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
      pause = wasSo ? pause >> 1 : Math.min(2 * pause + 1, pauseMax)
      left = wasSo ? 0 : pause
    },
  }
}
