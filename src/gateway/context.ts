import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Caller, Authenticator } from '../access/access.ts'
import type { Subjects } from '../access/subjects.ts'
import type { CreditEngine } from '../credits/commands.ts'
import type { Credits } from '../credits/lifecycle.ts'
import type { Holds, OpenHold, ReceiptDraft } from '../credits/holds.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Refusal } from '../kernel/errors.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import type { Room, Share } from '../kernel/room.ts'
import type { Bound, Price, PriceBook, PriceQuery } from '../pricing/pricing.ts'
import type { Protocol, RequestView, SoundReader } from '../protocols/protocol.ts'
import type { FormStores } from './forms/store.ts'
import type { SentForm } from './forms/sent-form.ts'
import type { SentBody } from './body.ts'
import type { Jobs } from './background/jobs.ts'
import type { BodyReader } from './reading/body-reader.ts'
import type { Idempotency, IdempotencyClaim } from './idempotency/idempotency.ts'
import type { StoredIds } from './stored/stored-ids.ts'
import type { Running } from './running.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

/** What rules a request besides prices; replaced as one on reload. */
export interface GatewaySettings {
  readonly fitToBalance: boolean
  /** null = no default: the model's own maximum bounds the request. */
  readonly maxOutputTokensDefault: number | null
  /** Where a customer without credits is sent, part of the message; null = none. */
  readonly topUpUrl: string | null
}

/** Counts one exact number of tokens, null where it cannot within its bounds. */
export interface TokenCounter {
  count(texts: readonly string[], model: string): Promise<number | null>
}

export interface RequestDone {
  readonly protocol: string
  readonly upstream: string
  readonly status: number
  readonly estimated: boolean
  /** Our own time before the upstream was called and after it ended, ms; null = not reached. */
  readonly beforeMs: number | null
  readonly afterMs: number | null
}

/** passed_on: another upstream was called instead. kept_away: its breaker was open. */
export type CallResult = 'answered' | 'failed' | 'passed_on' | 'kept_away'

/** What operations want to know of each request. Labels are bounded by the configuration. */
export interface GatewayHooks {
  requestDone(event: RequestDone): void
  upstreamCalled(upstream: string, result: CallResult): void
  clientGone(upstream: string): void
}

export interface GatewayDeps {
  readonly authenticator: Authenticator
  readonly subjects: Subjects
  readonly holds: Holds
  readonly prices: PriceBook
  readonly tokens: TokenCounter
  readonly sounds: SoundReader
  readonly forms: FormStores
  /** Who reads what would keep the event loop busy. */
  readonly bodies: BodyReader
  /** What bodies of requests, and large answers, take of memory. */
  readonly bodyRoom: Room
  readonly idempotency: Idempotency
  readonly stored: StoredIds
  /** Who follows background responses to their end. */
  readonly background: {
    readonly jobs: Jobs
    readonly engine: Pick<CreditEngine, 'renew'>
    readonly credits: Pick<Credits, 'loads'>
  }
  readonly upstreams: () => Upstreams
  readonly settings: () => GatewaySettings
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  readonly hooks: GatewayHooks
  /** Streams read on after their client left, of this process; bounded by DRAINS_MAX. */
  readonly drains: { count: number }
  /** Every request from its body to its last write; a stop waits for them. */
  readonly running: Running
}

/** A request whose caller is known and whose body was read, before anything is held. */
export interface Arrival {
  /** UUIDv7: request id, hold id, receipt id. */
  readonly id: string
  readonly protocol: Protocol
  readonly caller: Caller
  readonly view: RequestView
  readonly raw: Buffer
  /** What `raw`, and its answer, take of `bodyRoom` until the request has ended. */
  readonly bodyShare: Share
  /** The body in place of `raw`: a form, from where it is kept. */
  readonly sent?: SentForm
  /**
   * Reads the rest of a form that was bounded by its beginning, to bound it by all of it. Absent =
   * it was.
   */
  readonly exactly?: () => Promise<Arrival | Refusal>
  readonly headers: IncomingHttpHeaders
  /** Raw query string without "?" and without `key`. */
  readonly query: string
  readonly out: ServerResponse
  readonly startedAtMs: number
  readonly startedMonoMs: number
}

/** Which upstream serves it, at what price, within which bound. */
export interface Target {
  readonly upstream: Upstream
  readonly price: Price
  readonly query: PriceQuery
  readonly bound: Bound
}

/** A request on its way: credits are held. */
export interface Exchange extends Arrival {
  readonly target: Target
  readonly hold: OpenHold
  readonly draft: ReceiptDraft
  /** What its input was counted to where that mattered; null = its bytes bound it. */
  readonly inputTokens: number | null
  readonly claim: IdempotencyClaim | null
  /** The body to send and whether we asked for the usage chunk ourselves. */
  readonly body: SentBody
  readonly injectedUsage: boolean
  /** Tells that nothing more will be done for it. */
  readonly ended: () => void
  /** Monotonic ms; 0 = not yet. */
  readonly times: { sentMs: number; firstByteMs: number; endedMs: number; countedMs: number }
}
