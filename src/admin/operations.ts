import type { Accounts } from '../access/accounts.ts'
import type { Keys } from '../access/keys.ts'
import type { CreditEngine } from '../credits/commands.ts'
import type { Loaded, Loads } from '../credits/load.ts'
import type { Recovery } from '../credits/recovery.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { PAGE_MAX } from '../kernel/limits/access.ts'
import { VERIFY_RETRY_MS } from '../kernel/limits/books.ts'
import { SHUTDOWN_POST_MS_MAX } from '../kernel/limits/processes.ts'
import type { DoctorReport } from '../reconcile/doctor.ts'
import type { VerifyReport } from '../reconcile/verify.ts'

/** What the commands `verify`, `doctor`, `rebuild` and `recover` do. */
export interface Operations {
  /** One account, or all. Answers null where there is no such account. */
  verify(accountId: string | null): Promise<VerifyReport | null>
  doctor(): Promise<DoctorReport>
  /** Loads accounts and their active keys from Postgres into the credit engine. null as above. */
  rebuild(accountId: string | null): Promise<Rebuilt | null>
  /** Ends holds that stay lapsed for a renewal. Waits that long. */
  recover(): Promise<Recovered>
}

export interface Rebuilt {
  accounts: number
  keys: number
  /** Accounts and keys that the engine did not take. */
  failed: number
}

export interface Recovered {
  readonly ended: number
  /** Lapsed holds that are still there. */
  readonly left: number
}

export interface OperationsDeps {
  readonly verify: (accountId: string | null) => Promise<VerifyReport>
  readonly doctor: Operations['doctor']
  readonly accounts: Accounts
  readonly keys: Keys
  readonly loads: Loads
  readonly recovery: Pick<Recovery, 'sweep' | 'pending'>
  readonly engine: Pick<CreditEngine, 'lapsed'>
  readonly clock: Clock
  /** Pause between two renewals, as recovery was given it. */
  readonly renewalMs: number
}

async function rebuildAccount(
  deps: OperationsDeps,
  accountId: string,
  tally: Rebuilt,
): Promise<void> {
  const count = (what: 'accounts' | 'keys', loaded: Loaded): void => {
    tally[loaded === 'failed' ? 'failed' : what] += 1
  }
  count('accounts', await deps.loads.account(accountId, 'drift'))
  let cursor: string | null = null
  do {
    const keys = await deps.keys.list(accountId, cursor, PAGE_MAX)
    for (const key of keys.filter(({ status }) => status === 'active')) {
      count('keys', await deps.loads.key(accountId, key.id, 'drift'))
    }
    cursor = keys.length < PAGE_MAX ? null : (keys.at(-1)?.id ?? null)
  } while (cursor !== null)
}

export function makeOperations(deps: OperationsDeps): Operations {
  const isUnknown = async (accountId: string): Promise<boolean> =>
    (await deps.accounts.read(accountId)) === null
  return {
    async verify(only) {
      if (only !== null && (await isUnknown(only))) return null
      return deps.verify(only)
    },
    doctor: deps.doctor,
    async rebuild(only) {
      const tally: Rebuilt = { accounts: 0, keys: 0, failed: 0 }
      if (only !== null) {
        if (await isUnknown(only)) return null
        await rebuildAccount(deps, only, tally)
        return tally
      }
      let cursor: string | null = null
      do {
        const accounts = await deps.accounts.list(cursor, PAGE_MAX)
        for (const { id } of accounts) await rebuildAccount(deps, id, tally)
        cursor = accounts.length < PAGE_MAX ? null : (accounts.at(-1)?.id ?? null)
      } while (cursor !== null)
      return tally
    },
    async recover() {
      const first = await deps.recovery.sweep()
      await sleep(deps.clock, deps.renewalMs)
      const second = await deps.recovery.sweep()
      // What was ended is posted and cleared before the answer: a command ends with it.
      const untilMs = deps.clock.monotonicMs() + SHUTDOWN_POST_MS_MAX
      while (deps.recovery.pending > 0 && deps.clock.monotonicMs() < untilMs) {
        await sleep(deps.clock, VERIFY_RETRY_MS)
      }
      return { ended: first + second, left: (await deps.engine.lapsed()).length }
    },
  }
}
