import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../../access/access.ts'
import type { OpenHold, ReceiptDraft } from '../../credits/holds.ts'
import type { Price, PriceQuery } from '../../pricing/pricing.ts'
import type { GatewayDeps } from '../context.ts'
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

/** The same with credits held. */
export interface HttpExchange extends HttpArrival {
  readonly hold: OpenHold
  readonly draft: ReceiptDraft
  readonly price: Price
  readonly priceQuery: PriceQuery
  readonly claim: null
  readonly ended: () => void
  /** Bytes of the request's body that were sent, and why it could not be read to its end. */
  readonly sent: { bytes: number; failure: 'too_large' | 'broken' | null }
  /** Monotonic ms; 0 = not yet. */
  readonly times: { sentMs: number; firstByteMs: number; endedMs: number }
}

/** Requests are named by method and path: what prices and a key's `models` match. */
export const nameOf = ({ request, at }: Pick<HttpArrival, 'request' | 'at'>): string =>
  `${request.method ?? 'GET'} ${at.plain}`
