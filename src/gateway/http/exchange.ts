import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../../access/access.ts'
import type { OpenHold, ReceiptDraft } from '../../credits/holds.ts'
import type { Share } from '../../kernel/room.ts'
import type { Price, PriceQuery } from '../../pricing/pricing.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import type { IdempotencyClaim } from '../idempotency/idempotency.ts'
import type { HttpApi, HttpApis } from './apis.ts'
import type { HttpPath } from './paths.ts'

/** What named HTTP APIs need beside what every request needs. */
export interface HttpDeps extends GatewayDeps {
  readonly apis: () => HttpApis
}

/** A request for a named API, before anything is held. */
export interface HttpArrival {
  readonly id: string
  readonly caller: Caller
  readonly api: HttpApi
  readonly at: HttpPath
  readonly request: IncomingMessage
  readonly out: ServerResponse
  /** Raw query without "?" and without `key`. */
  readonly query: string
  readonly startedAtMs: number
  readonly startedMonoMs: number
}

/**
 * What is sent: the client's body as it comes (null), or one read before because it is short, may
 * be sent twice, or names what its idempotency key stands for.
 */
export type KeptBody = Buffer | null

/** The same with credits held. `api` is the one that is called: its own or a stand-in. */
export interface HttpExchange extends HttpArrival {
  /** Which API the client named. */
  readonly named: string
  readonly kept: KeptBody
  /** What `kept`, and an answer that is read, take of `bodyRoom` until the request has ended. */
  readonly bodyShare: Share
  readonly hold: OpenHold
  readonly draft: ReceiptDraft
  readonly price: Price
  readonly priceQuery: PriceQuery
  readonly claim: IdempotencyClaim | null
  readonly ended: () => void
  /** Bytes of the request's body that were sent, and why it could not be read to its end. */
  readonly sent: { bytes: number; failure: 'too_large' | 'broken' | null }
  /** Monotonic ms; 0 = not yet. `sentMs`: to the first that was called, `calledMs`: to this one. */
  readonly times: Exchange['times'] & { calledMs: number }
}

/** Requests are named by method and path: what prices and a key's `models` match. */
export const nameOf = ({ request, at }: Pick<HttpArrival, 'request' | 'at'>): string =>
  `${request.method ?? 'GET'} ${at.plain}`
