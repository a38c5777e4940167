import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Refusal } from '../kernel/errors.ts'
import { formatCredits, type Micros } from '../kernel/money.ts'
import { ONE_WRITE_BYTES_MAX } from '../kernel/limits/answers.ts'
import type { Settled } from '../credits/holds.ts'
import type { Family } from '../protocols/protocol.ts'
import { envelope, familyOfPath } from '../protocols/envelope.ts'
import type { GatewayHooks, GatewaySettings } from './context.ts'
import type { StoredReplay } from './idempotency/idempotency.ts'
import type { OutgoingHeaders } from './headers.ts'
import { readOn } from './read-on.ts'

/** Sends a whole answer. */
export function sendWhole(
  out: ServerResponse,
  status: number,
  headers: OutgoingHeaders,
  body: Uint8Array,
): void {
  if (out.headersSent || out.destroyed) return
  headers['content-length'] = String(body.byteLength)
  out.writeHead(status, headers)
  // As text it leaves together with the head, in one write; latin1 keeps every byte.
  if (body.byteLength > ONE_WRITE_BYTES_MAX) out.end(body)
  else
    out.end(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'), 'latin1')
}

/** Sends a refusal in the envelope of the protocol that was called; answers its status. */
export function sendRefusal(
  out: ServerResponse,
  family: Family,
  requestId: string,
  refusal: Refusal,
): number {
  const { status, headers, body } = envelope(family, refusal, requestId)
  if (!out.req.complete) readOn(out.req)
  sendWhole(out, status, { ...headers }, Buffer.from(body))
  return status
}

interface Refusable {
  readonly id: string
  /** Its `name` is "none" where nobody knows it. */
  readonly protocol: { readonly name: string; readonly family: Family }
  readonly out: ServerResponse
}

/** Who is told of each request that was answered. */
export interface Counting {
  readonly hooks: Pick<GatewayHooks, 'requestDone'>
}

/** Counts an answer of which nothing is charged or timed. */
export function countFree(
  { hooks }: Counting,
  protocol: string,
  upstream: string,
  status: number,
): void {
  hooks.requestDone({
    ...{ protocol, upstream, status },
    ...{ estimated: false, beforeMs: null, afterMs: null },
  })
}

/** Refuses a request that no upstream answered, and counts it. */
export function refuseRequest(
  deps: Counting,
  { id, protocol, out }: Refusable,
  refusal: Refusal,
): void {
  countFree(deps, protocol.name, 'none', sendRefusal(out, protocol.family, id, refusal))
}

/** A customer without credits is told where they are sold. Source: providers.md §2. */
export function withTopUp(
  { settings }: { readonly settings: () => Pick<GatewaySettings, 'topUpUrl'> },
  refusal: Refusal,
): Refusal {
  const { topUpUrl } = settings()
  if (refusal.code !== 'insufficient_quota' || topUpUrl === null) return refusal
  return { ...refusal, message: `${refusal.message} Credits are sold at ${topUpUrl}` }
}

/** Adds what the answer cost and what is left, where that is known. */
export function withCost(
  headers: OutgoingHeaders,
  charged: { readonly micros: Micros; readonly settled: Pick<Settled, 'availableMicros'> },
): OutgoingHeaders {
  headers['x-farebox-cost'] = formatCredits(charged.micros)
  const { availableMicros } = charged.settled
  if (availableMicros !== null) headers['x-farebox-balance'] = formatCredits(availableMicros)
  return headers
}

/** Sends an answer that has no body by its method or status, so no length either. */
export function sendBodiless(out: ServerResponse, status: number, headers: OutgoingHeaders): void {
  if (out.headersSent || out.destroyed) return
  out.writeHead(status, headers)
  out.end()
}

/** With what the first one cost, a streamed one too; the balance of then is no balance now. */
export const replayHeaders = (stored: StoredReplay): OutgoingHeaders => ({
  ...stored.headers,
  'x-farebox-request-id': stored.holdId,
  'x-farebox-replayed': 'true',
  ...(stored.chargedMicros === null
    ? {}
    : { 'x-farebox-cost': formatCredits(stored.chargedMicros) }),
})

/** Sends what an earlier request with the same idempotency key got. */
export function sendReplay(out: ServerResponse, replay: StoredReplay): void {
  sendWhole(out, replay.status, replayHeaders(replay), replay.body)
}

/** Ends a Fastify request with a refusal. */
export function endWith(
  deps: Counting,
  request: FastifyRequest,
  reply: FastifyReply,
  protocol: Refusable['protocol'],
  refusal: Refusal,
): void {
  reply.hijack()
  refuseRequest(deps, { id: request.id, protocol, out: reply.raw }, refusal)
}

/** Ends what is known as a request of no protocol, in the envelope that its path asks for. */
export function endUnknown(
  deps: Counting,
  request: FastifyRequest,
  reply: FastifyReply,
  refusal: Refusal,
): void {
  endWith(deps, request, reply, { name: 'none', family: familyOfPath(request.url) }, refusal)
}
