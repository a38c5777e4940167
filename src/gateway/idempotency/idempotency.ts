import { sleep, type Clock } from '../../kernel/clock.ts'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import {
  DUPLICATES_WAITING_MAX,
  IDEMPOTENCY_LEASE_MS,
  IDEMPOTENCY_POLL_MS_MAX,
  IDEMPOTENCY_POLL_MS_MIN,
} from '../../kernel/limits/idempotency.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import type { Micros } from '../../kernel/money.ts'
import { makeRoom, makeShare, type Share } from '../../kernel/room.ts'
import type { KeyRow, KeyRows } from './rows.ts'

/** Requests with an `Idempotency-Key`: one call, one charge, the same bytes. Source: design §9. */
export interface Idempotency {
  /**
   * Claims (account, key) for this request before anything is held. Answers the claim, the stored
   * answer of an earlier one (after waiting for one in flight), or a refusal: another body, still
   * in flight after the wait or where too many wait, charged but not kept. Refuses with 503 where
   * Postgres is away.
   */
  claim(request: IdempotentRequest): Promise<IdempotencyClaim | StoredReplay | Refusal>
}

export interface IdempotentRequest {
  readonly accountId: string
  readonly key: string
  readonly holdId: string
  /** SHA-256 over path and body. */
  readonly bodyHash: Buffer
}

export interface IdempotencyClaim {
  readonly kind: 'claimed'
  readonly key: string
  /** The request ended without a charge: the key is free. Never rejects. */
  free(): Promise<void>
  /** The request was charged: stops the renewing of the row's lease. */
  done(): void
}

export interface StoredReplay {
  readonly kind: 'replay'
  readonly holdId: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** What the first one was charged. */
  readonly chargedMicros: Micros | null
}

export interface IdempotencyDeps {
  readonly rows: KeyRows
  /** Whether a hold is still in the credit engine: its charge may yet come. */
  readonly isLive: (accountId: string, holdId: string) => Promise<boolean>
  readonly clock: Clock
  readonly log: Log
  /** How long a duplicate waits for the first one, ms. */
  readonly waitMs: () => number
}

export const REUSED = refuse(
  'idempotency_key_reused',
  'This Idempotency-Key was used with another body. Use a new key for a new request.',
)
const IN_PROGRESS = refuse(
  'idempotency_in_progress',
  'A request with this Idempotency-Key is still in progress. Try again.',
)
const AWAY = refuse('gateway_unavailable', 'Idempotent requests cannot be served now. Try again.')

/** Makes the store of idempotent requests. Source: design §9. */
export function makeIdempotency(deps: IdempotencyDeps): Idempotency {
  const lookLater = makeLooks(deps)
  const places = makeRoom(DUPLICATES_WAITING_MAX)

  const claim = async (
    request: IdempotentRequest,
    place: Share,
  ): Promise<IdempotencyClaim | StoredReplay | Refusal> => {
    const deadlineMs = deps.clock.monotonicMs() + deps.waitMs()
    if (await deps.rows.claim(request, deps.clock.now())) return claimed(deps, request)
    let row = await deps.rows.read(request.accountId, request.key)
    let pauseMs = IDEMPOTENCY_POLL_MS_MIN
    let isWaiting = false
    for (;;) {
      const nowMs = deps.clock.now()
      if (row === null) {
        if (await deps.rows.claim(request, nowMs)) return claimed(deps, request)
      } else {
        const verdict = judge(row, request)
        if (verdict !== 'wait') return verdict
        if (await takeOver(deps, request, row, nowMs)) return claimed(deps, request)
      }
      const monoMs = deps.clock.monotonicMs()
      if (monoMs >= deadlineMs || (!isWaiting && place.take(1) !== null)) return IN_PROGRESS
      isWaiting = true
      row = await lookLater(request, monoMs + pauseMs, deadlineMs)
      pauseMs = Math.min(2 * pauseMs, IDEMPOTENCY_POLL_MS_MAX)
    }
  }
  return {
    async claim(request) {
      const place = makeShare(() => places, request.accountId)
      try {
        return await claim(request, place)
      } catch (error) {
        deps.log.error({ error: describeError(error) }, 'idempotency key could not be claimed')
        return AWAY
      } finally {
        place.close()
      }
    },
  }
}

/**
 * Looks at a request's row at `wantMs`, by its deadline at the latest (monotonic ms). Duplicates in
 * this process that wait for the same key share a look, save who would have it too late.
 */
function makeLooks({
  clock,
  rows,
}: IdempotencyDeps): (
  request: IdempotentRequest,
  wantMs: number,
  deadlineMs: number,
) => Promise<KeyRow | null> {
  const waiting = new Map<string, { readonly atMs: number; readonly row: Promise<KeyRow | null> }>()
  return ({ accountId, key }, wantMs, deadlineMs) => {
    const name = `${accountId} ${key}`
    const shared = waiting.get(name)
    if (shared !== undefined && shared.atMs <= deadlineMs) return shared.row
    const atMs = Math.min(wantMs, deadlineMs)
    const row = sleep(clock, atMs - clock.monotonicMs())
      .then(() => rows.read(accountId, key))
      .finally(() => {
        if (waiting.get(name)?.row === row) waiting.delete(name)
      })
    waiting.set(name, { atMs, row })
    return row
  }
}

/** What a row says to a duplicate, or that its outcome is still open. */
function judge(row: KeyRow, request: IdempotentRequest): StoredReplay | Refusal | 'wait' {
  if (!request.bodyHash.equals(row.bodyHash)) return REUSED
  if (row.charged && row.body !== null && row.status !== null) {
    const { holdId, status, headers, body, chargedMicros } = row
    return { kind: 'replay', holdId, status, headers, body, chargedMicros }
  }
  if (!row.charged && row.chargedMicros === null) return 'wait'
  const message = `The request was charged, but its answer was not kept. Receipt: ${row.holdId}.`
  return refuse('idempotency_result_gone', message, { receiptId: row.holdId })
}

/** A lapsed claim without a charge and without a live hold may be taken. */
async function takeOver(
  deps: IdempotencyDeps,
  request: IdempotentRequest,
  row: KeyRow,
  nowMs: number,
): Promise<boolean> {
  if (row.leaseUntilMs >= nowMs) return false
  if (await deps.isLive(request.accountId, row.holdId)) return false
  return deps.rows.take(request, row, nowMs)
}

/** A claim of ours: its lease is renewed until the request ends. */
function claimed(deps: IdempotencyDeps, request: IdempotentRequest): IdempotencyClaim {
  const renew = (): void => {
    deps.rows.renew(request, deps.clock.now()).catch((error: unknown) => {
      deps.log.warn({ error: describeError(error) }, 'idempotency lease was not renewed')
    })
    cancel = deps.clock.after(IDEMPOTENCY_LEASE_MS / 3, renew)
  }
  let cancel = deps.clock.after(IDEMPOTENCY_LEASE_MS / 3, renew)
  return {
    kind: 'claimed',
    key: request.key,
    done() {
      cancel()
    },
    async free() {
      cancel()
      try {
        await deps.rows.free(request)
      } catch (error) {
        deps.log.warn({ error: describeError(error) }, 'idempotency key frees when its lease ends')
      }
    },
  }
}
