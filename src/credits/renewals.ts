import { sleep, type Clock } from '../kernel/clock.ts'
import { RENEWALS_A_TURN, RENEWALS_SPREAD_MS, RENEWAL_PAUSE_MS } from '../kernel/limits/holds.ts'
import { makeLine, type Place } from '../kernel/line.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { maxMicros, ZERO, type Micros } from '../kernel/money.ts'
import type { CreditEngine, HoldRef } from './commands.ts'
import type { HoldProgress, ReceiptDraft } from './holds.ts'
import type { Loads } from './load.ts'
import { receiptText } from './receipt-text.ts'

/** An open hold as the renewing loop sees it. */
export interface Renewable {
  readonly ref: HoldRef
  readonly micros: Micros
  readonly day: number
  readonly reservedAtMs: number
  readonly tokens: number
  readonly draft: ReceiptDraft
  readProgress: (() => HoldProgress | null) | null
  /** Monotonic ms of the next renewal, and of the command that last set the lease. */
  dueMs: number
  leasedMs: number
  /** Settled or released here: never renewed again. */
  ended: boolean
  /** Recovery has ended it. */
  lost: boolean
  renewing: Promise<void> | null
  /** Among the holds to renew; null = not one of them, or no more. */
  place: Place<Renewable> | null
}

export interface Renewals {
  add(hold: Renewable): void
  remove(hold: Renewable): void
  /**
   * Starts renewing what is due, without waiting for answers: one slow answer delays no other hold.
   * A few at a time, so that requests have their turn in between. Resolves when all were started.
   */
  tick(): Promise<void>
  /** Never rejects: a renewal that got no answer is due again soon. */
  renew(hold: Renewable): Promise<void>
  readonly count: number
}

export interface RenewalsDeps {
  readonly engine: CreditEngine
  readonly loads: Loads
  readonly clock: Clock
  readonly log: Log
  readonly owner: string
  readonly leaseMs: number
  /** Pause after a renewal that got no answer, ms. */
  readonly retryMs: number
}

async function reload({ loads }: RenewalsDeps, { ref }: Renewable): Promise<void> {
  await loads.account(ref.accountId, 'missing')
  await loads.key(ref.accountId, ref.keyId, 'missing')
}

async function send(deps: RenewalsDeps, hold: Renewable): Promise<void> {
  const { engine, clock, leaseMs } = deps
  const progress = hold.readProgress?.() ?? null
  const progressMicros = progress?.micros ?? ZERO
  const issuedMs = clock.monotonicMs()
  const reply = await engine.renew({
    ...hold.ref,
    micros: maxMicros(hold.micros, progressMicros),
    progressMicros,
    day: hold.day,
    reservedAtMs: hold.reservedAtMs,
    tokens: hold.tokens,
    leaseMs,
    owner: deps.owner,
    draft: receiptText(progress?.draft ?? hold.draft),
  })
  switch (reply.kind) {
    case 'ok':
      hold.leasedMs = issuedMs
      hold.dueMs = issuedMs + leaseMs / 3
      if (reply.putBack) await reload(deps, hold)
      return
    case 'gone':
      hold.lost = true
      return
    case 'stale':
      await reload(deps, hold)
      hold.dueMs = clock.monotonicMs()
  }
}

async function attempt(deps: RenewalsDeps, hold: Renewable): Promise<void> {
  const { clock, log } = deps
  try {
    await send(deps, hold)
  } catch (error) {
    hold.dueMs = clock.monotonicMs() + deps.retryMs
    log.warn({ request_id: hold.ref.holdId, error: describeError(error) }, 'renewal unanswered')
  }
}

export function makeRenewals(deps: RenewalsDeps): Renewals {
  const open = makeLine<Renewable>()

  function remove(hold: Renewable): void {
    if (hold.place !== null) open.remove(hold.place)
    hold.place = null
  }

  const renew = (hold: Renewable): Promise<void> => {
    hold.renewing ??= attempt(deps, hold).finally(() => {
      hold.renewing = null
      if (hold.lost) remove(hold)
    })
    return hold.renewing
  }

  return {
    get count() {
      return open.size
    },
    add(hold) {
      hold.place = open.add(hold)
    },
    remove,
    renew,
    async tick() {
      const isDue = (hold: Renewable): boolean =>
        !hold.ended && !hold.lost && deps.clock.monotonicMs() >= hold.dueMs
      const startMs = deps.clock.monotonicMs()
      const due = open.all().filter(isDue)
      let from = 0
      while (from < due.length) {
        if (from > 0) await sleep(deps.clock, RENEWAL_PAUSE_MS)
        // As many as it takes to keep pace: on a slow event loop pauses are long.
        const pace = (deps.clock.monotonicMs() - startMs) / RENEWALS_SPREAD_MS
        const to = Math.max(from + RENEWALS_A_TURN, Math.ceil(due.length * pace))
        for (const hold of due.slice(from, to)) if (isDue(hold)) void renew(hold)
        from = to
      }
    },
  }
}
