import { pipeline } from 'node:stream'
import { ANSWER_METER_BYTES_MAX } from '../../kernel/limits.ts'
import { BACKGROUND_LOOK_MS_MAX } from '../../kernel/limits-media.ts'
import { isObject, parseJson, textOr } from '../../protocols/json.ts'
import { decoderOf } from '../decode.ts'
import { upstreamHeaders } from '../headers.ts'
import type { Upstream } from '../upstreams.ts'

/** After these nothing of a response changes any more. */
const TERMINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'incomplete', 'cancelled'])

export type Look =
  | { readonly kind: 'open' }
  /** The provider does not know it any more. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'ended'; readonly body: Buffer }
  /** No answer that says anything: ask again. */
  | { readonly kind: 'unknown'; readonly status: number }

/** Asks the provider how far a response is, in the operator's name. Throws where it is away. */
export async function lookAt(upstream: Upstream, responseId: string): Promise<Look> {
  const answer = await upstream.dispatcher.request({
    origin: upstream.origin,
    path: `${upstream.basePath}/v1/responses/${encodeURIComponent(responseId)}`,
    method: 'GET',
    headers: upstreamHeaders({}, upstream.ownHeaders, upstream.ownHeaderNames),
    headersTimeout: BACKGROUND_LOOK_MS_MAX,
    bodyTimeout: BACKGROUND_LOOK_MS_MAX,
  })
  const parts: Buffer[] = []
  let bytes = 0
  const makeDecoder = decoderOf(answer.headers)
  // Errors of either come out of the loop.
  const plain = makeDecoder ? pipeline(answer.body, makeDecoder(), () => undefined) : answer.body
  for await (const part of plain) {
    if (!Buffer.isBuffer(part)) continue
    bytes += part.length
    if (bytes <= ANSWER_METER_BYTES_MAX) parts.push(part)
  }
  const status = answer.statusCode
  if (status === 404) return { kind: 'gone' }
  const body = Buffer.concat(parts)
  const response = status === 200 ? parseJson(body.toString('utf8')) : null
  if (!isObject(response)) return { kind: 'unknown', status }
  return TERMINAL.has(textOr(response.status) ?? '') ? { kind: 'ended', body } : { kind: 'open' }
}

/** Asks the provider to end a response. Never rejects: what it says changes nothing. */
export async function cancel(upstream: Upstream, responseId: string): Promise<void> {
  try {
    const answer = await upstream.dispatcher.request({
      origin: upstream.origin,
      path: `${upstream.basePath}/v1/responses/${encodeURIComponent(responseId)}/cancel`,
      method: 'POST',
      headers: upstreamHeaders({}, upstream.ownHeaders, upstream.ownHeaderNames),
      headersTimeout: BACKGROUND_LOOK_MS_MAX,
      bodyTimeout: BACKGROUND_LOOK_MS_MAX,
    })
    await answer.body.dump()
  } catch {
    // It goes on at the provider; nobody can read it.
  }
}
