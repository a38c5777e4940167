import type { IncomingHttpHeaders } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { ANSWER_HEAD_BYTES, ANSWER_TAIL_BYTES } from '../../kernel/limits/answers.ts'
import { BACKGROUND_LOOK_MS_MAX } from '../../kernel/limits/background.ts'
import { LOOP_BYTES_MAX } from '../../kernel/limits/requests.ts'
import { answerHead } from '../../protocols/answer-head.ts'
import { ByteEnds } from '../../protocols/byte-ends.ts'
import { Condensed } from '../../protocols/condensed.ts'
import { isObject, objectOr, parseJson } from '../../protocols/json.ts'
import { meterResponsesAnswer, meterResponsesEnds } from '../../protocols/openai-responses-meter.ts'
import { openaiResponses } from '../../protocols/openai-responses.ts'
import type { MeterReport } from '../../protocols/protocol.ts'
import { unknownReport } from '../answers/answer.ts'
import { decoderOf } from '../answers/decode.ts'
import { Gathered } from '../answers/gathered.ts'
import { upstreamHeaders } from '../headers.ts'
import type { BodyReader } from '../reading/body-reader.ts'
import type { Upstream } from '../upstreams.ts'
import { isTerminal } from './state.ts'

type Provider = Pick<
  Upstream,
  'origin' | 'basePath' | 'ownHeaders' | 'ownHeaderNames' | 'dispatcher'
>

export type Look =
  | { readonly kind: 'open' }
  /** The provider does not know it any more. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'ended'; readonly report: MeterReport }
  /** No answer that says anything: ask again. */
  | { readonly kind: 'unknown'; readonly status: number }

/** Asks the provider how far a response is, in the operator's name. Throws where it is away. */
export async function lookAt(
  bodies: Pick<BodyReader, 'meter'>,
  upstream: Provider,
  responseId: string,
): Promise<Look> {
  const answer = await upstream.dispatcher.request({
    origin: upstream.origin,
    path: `${upstream.basePath}/v1/responses/${encodeURIComponent(responseId)}`,
    method: 'GET',
    headers: upstreamHeaders({}, upstream.ownHeaders, upstream.ownHeaderNames),
    headersTimeout: BACKGROUND_LOOK_MS_MAX,
    bodyTimeout: BACKGROUND_LOOK_MS_MAX,
  })
  const read = await readAnswer(answer)
  const { whole } = read
  const status = answer.statusCode
  if (status === 404) return { kind: 'gone' }
  if (status !== 200) return { kind: 'unknown', status }
  if (whole === null) return lookAtDense(bodies, read)
  const response = parseJson(whole.toString('utf8'))
  if (!isObject(response)) return { kind: 'unknown', status }
  if (!isTerminal(response.status)) return { kind: 'open' }
  return { kind: 'ended', report: meterResponsesAnswer(whole) }
}

/**
 * At a response with too much in it for the event loop: by its ends, and by all of it in a thread
 * once it has ended. Its usage, written last, is null until then.
 */
async function lookAtDense(
  bodies: Pick<BodyReader, 'meter'>,
  { head, tail, large }: Omit<Read, 'whole'>,
): Promise<Look> {
  const byEnds = meterResponsesEnds(head, tail)
  const { status } = answerHead(head)
  if (status === null && byEnds === null) return { kind: 'unknown', status: 200 }
  if (status !== null && !isTerminal(status)) return { kind: 'open' }
  const report = large === null ? null : await bodies.meter(openaiResponses, large)
  return { kind: 'ended', report: report ?? byEnds ?? unknownReport(0) }
}

interface Answer {
  readonly body: Readable
  readonly headers: IncomingHttpHeaders
}

interface Read {
  /** Decoded and less its long strings; null = too much is left. */
  readonly whole: Buffer | null
  /** All of it, where a thread can read it; null = it is small, or too large. */
  readonly large: Buffer | null
  readonly head: Buffer
  readonly tail: Buffer
}

/** Throws where the body breaks off. */
async function readAnswer({ body, headers }: Answer): Promise<Read> {
  const condensed = new Condensed()
  let mayBeRead = true
  const ends = new ByteEnds(ANSWER_HEAD_BYTES, ANSWER_TAIL_BYTES)
  const large = new Gathered(null)
  let parts: Buffer[] = []
  const makeDecoder = decoderOf(headers)
  // Errors of either come out of the loop.
  const plain = makeDecoder ? pipeline(body, makeDecoder(), () => undefined) : body
  for await (const part of plain) {
    if (!Buffer.isBuffer(part)) continue
    ends.add(part)
    mayBeRead &&= condensed.add(part)
    parts.push(part)
    if (ends.size <= LOOP_BYTES_MAX) continue
    large.add(parts, ends.size)
    parts = []
  }
  const whole = mayBeRead ? condensed.take() : null
  return { whole, large: large.bytes(), head: ends.head(), tail: ends.tail() }
}

/**
 * Asks the provider to end a response. true = it says that it has, and bills nothing for it. Never
 * rejects.
 */
export async function cancel(upstream: Provider, responseId: string): Promise<boolean> {
  try {
    const answer = await upstream.dispatcher.request({
      origin: upstream.origin,
      path: `${upstream.basePath}/v1/responses/${encodeURIComponent(responseId)}/cancel`,
      method: 'POST',
      headers: upstreamHeaders({}, upstream.ownHeaders, upstream.ownHeaderNames),
      headersTimeout: BACKGROUND_LOOK_MS_MAX,
      bodyTimeout: BACKGROUND_LOOK_MS_MAX,
    })
    const { whole, head } = await readAnswer(answer)
    if (answer.statusCode !== 200) return false
    const isFree = whole === null || !isObject(objectOr(parseJson(whole.toString('utf8'))).usage)
    return isFree && answerHead(head).status === 'cancelled'
  } catch {
    return false // it goes on at the provider; nobody can read it
  }
}
