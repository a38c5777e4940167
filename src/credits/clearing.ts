import { sleep, type Clock } from '../kernel/clock.ts'
import {
  CLEAR_BATCH_MAX,
  CLEAR_WAIT_MS,
  COMMAND_RETRY_WAIT_MS,
  COMMAND_TRIES_MAX,
} from '../kernel/limits/holds.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { makeUnderWay } from '../kernel/under-way.ts'
import type { ClearItem, CreditEngine } from './commands.ts'
import type { Loads } from './load.ts'

/** Takes posted holds out of the credit engine, a batch an account. Source: design §4 (clear). */
export interface Clearing {
  /** Resolves when it was tried; what fails is left to recovery. Never rejects. */
  clear(accountId: string, item: ClearItem): Promise<void>
  /** Resolves when everything given so far was tried. */
  flush(): Promise<void>
}

interface Batch {
  readonly items: ClearItem[]
  readonly done: Promise<void>
  readonly send: () => void
}

interface ClearingDeps {
  readonly engine: Pick<CreditEngine, 'clear'>
  readonly loads: Loads
  readonly clock: Clock
  readonly log: Log
}

/** Sends one batch; what fails stays in the engine, where recovery finds it. */
async function send(
  deps: ClearingDeps,
  accountId: string,
  items: readonly ClearItem[],
): Promise<void> {
  const { engine, loads, clock, log } = deps
  for (let round = 1; round <= COMMAND_TRIES_MAX; round++) {
    try {
      const reply = await engine.clear({ accountId, items })
      if (reply.kind === 'done') {
        await loadWhere(loads, accountId, items, reply.items)
        return
      }
      // An account that is not loaded keeps its records: load it, then clear them.
      if ((await loads.account(accountId, 'missing')) !== 'loaded') return
    } catch (error) {
      log.warn({ round, error: describeError(error) }, 'clearing got no answer')
      await sleep(clock, COMMAND_RETRY_WAIT_MS * round)
    }
  }
}

async function loadWhere(
  loads: Loads,
  accountId: string,
  items: readonly ClearItem[],
  replies: readonly ('ok' | 'load')[],
): Promise<void> {
  const stale = items.filter((_, index) => replies[index] === 'load')
  if (stale.length === 0) return
  const keyIds = new Set(stale.map((item) => item.keyId))
  await Promise.all([
    loads.account(accountId, 'drift'),
    ...[...keyIds].map((keyId) => loads.key(accountId, keyId, 'drift')),
  ])
}

export function makeClearing(deps: ClearingDeps): Clearing {
  let open = new Map<string, Batch>()
  const sending = makeUnderWay()

  function close(accountId: string): void {
    open.delete(accountId)
    if (open.size === 0) open = new Map() // old tables keep things alive: see kernel/line
  }

  function start(accountId: string): Batch {
    const items: ClearItem[] = []
    let go: () => void = () => undefined
    const due = new Promise<void>((resolve) => {
      go = resolve
    })
    const cancel = deps.clock.after(CLEAR_WAIT_MS, go)
    const done = due.then(() => {
      cancel()
      if (open.get(accountId)?.items === items) close(accountId)
      return send(deps, accountId, items)
    })
    sending.begin()
    void done.then(() => {
      sending.end()
    })
    const batch: Batch = { items, done, send: go }
    open.set(accountId, batch)
    return batch
  }

  return {
    clear(accountId, item) {
      const batch = open.get(accountId) ?? start(accountId)
      batch.items.push(item)
      if (batch.items.length >= CLEAR_BATCH_MAX) {
        close(accountId)
        batch.send()
      }
      return batch.done
    },
    async flush() {
      for (const batch of open.values()) batch.send()
      await sending.over()
    },
  }
}
