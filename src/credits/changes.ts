import type { Clock } from '../kernel/clock.ts'
import { CHANGES_OVERLAP_MS } from '../kernel/limits/access.ts'
import { CHANGED_BATCH_MAX, CHANGED_BEFORE_BATCH_MAX } from '../kernel/limits/holds.ts'
import {
  changesFrom,
  type Changed,
  type ChangePlace,
  type PostingLedger,
} from '../ledger/ledger.ts'
import type { CreditEngine } from './commands.ts'
import type { Loaded, Loads } from './load.ts'

/** Keeps loaded accounts and keys equal to Postgres, whoever changed them. Source: design §4. */
export interface Changes {
  /**
   * Loads what changed lately and differs, and a part of what changed before this process started:
   * a command may have changed it while no gateway ran. Throws where a store does not answer.
   */
  sweep(): Promise<void>
  /** Loads account and key where they differ; true when something was loaded. */
  look(accountId: string, keyId: string): Promise<boolean>
}

interface ChangesDeps {
  engine: Pick<CreditEngine, 'accountChangeSeqs' | 'keyChangeSeqs'>
  ledger: Pick<PostingLedger, 'changedSince' | 'snapshotAccount' | 'snapshotKey'>
  loads: Loads
  clock: Clock
}

function makeLoading({ engine, loads }: ChangesDeps) {
  /** Those that the engine has, with another change_seq than Postgres. */
  async function differing(changed: readonly Changed[]): Promise<Changed[]> {
    const accounts = changed.filter((each) => each.kind === 'account')
    const keys = changed.filter((each) => each.kind === 'key')
    const accountSeqs = await engine.accountChangeSeqs(accounts.map((each) => each.id))
    const keySeqs = await engine.keyChangeSeqs(
      keys.map((each) => ({ accountId: each.accountId, keyId: each.id })),
    )
    const differs = (seqs: readonly (number | null)[]) => (each: Changed, index: number) => {
      const seq = seqs[index] ?? null
      return seq !== null && seq !== each.changeSeq
    }
    return [...accounts.filter(differs(accountSeqs)), ...keys.filter(differs(keySeqs))]
  }

  const load = (each: Changed): Promise<Loaded> =>
    each.kind === 'account'
      ? loads.account(each.id, 'changed')
      : loads.key(each.accountId, each.id, 'changed')

  /** false = something could not be loaded. */
  async function loadDiffering(changed: readonly Changed[]): Promise<boolean> {
    let isWhole = true
    for (const each of await differing(changed)) {
      if ((await load(each)) === 'failed') isWhole = false
    }
    return isWhole
  }

  return { differing, load, loadDiffering }
}

export function makeChanges(deps: ChangesDeps): Changes {
  const { ledger, clock } = deps
  let sinceMs = clock.now() - CHANGES_OVERLAP_MS
  /** How far the look at everything older has come; null = all seen. */
  let before: ChangePlace | null = changesFrom(0)

  const { differing, load, loadDiffering } = makeLoading(deps)

  return {
    async sweep() {
      const startedMs = clock.now()
      let isWhole = true
      let place: ChangePlace | null = changesFrom(sinceMs)
      while (place !== null) {
        const { changed, next } = await ledger.changedSince(place, CHANGED_BATCH_MAX)
        if (!(await loadDiffering(changed))) isWhole = false
        place = next
      }
      // What could not be loaded is looked at again, however long that takes.
      if (isWhole) sinceMs = startedMs - CHANGES_OVERLAP_MS
      if (before === null) return
      const older = await ledger.changedSince(before, CHANGED_BEFORE_BATCH_MAX)
      if (await loadDiffering(older.changed)) before = older.next
    },
    async look(accountId, keyId) {
      const account = await ledger.snapshotAccount(accountId)
      const key = await ledger.snapshotKey(accountId, keyId, 0)
      const changed: Changed[] = []
      if (account !== null) {
        changed.push({ kind: 'account', id: accountId, accountId, changeSeq: account.changeSeq })
      }
      if (key !== null) {
        changed.push({ kind: 'key', id: keyId, accountId, changeSeq: key.changeSeq })
      }
      const stale = await differing(changed)
      for (const each of stale) await load(each)
      return stale.length > 0
    },
  }
}
