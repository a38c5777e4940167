import { FareboxError } from './errors.ts'

export interface FareboxOptions {
  /** Where the gateway is, such as "https://ai.example.com". */
  baseUrl: string
  /** A backend key (fbk_…) or a client key (fb_…). */
  apiKey: string
  /** For one try. Default 10 000. */
  timeoutMs?: number
  /** Tries beside the first, where the gateway is away or asks to wait. Default 2. */
  retries?: number
  fetch?: typeof fetch
}

export interface Call {
  method: 'GET' | 'POST'
  /** Begins with a slash. */
  path: string
  query?: Readonly<Record<string, string | number | undefined>>
  body?: Readonly<Record<string, unknown>>
  subjectRef?: string | undefined
  /** Makes every try the same call. */
  idempotencyKey?: string
  /** Whether doing it twice is doing it once. GETs and calls with a key always are. */
  isRepeatable?: boolean
  signal?: AbortSignal | undefined
}

export type Send = (call: Call) => Promise<unknown>

const RETRY_MS = 250
const RETRY_MS_MAX = 5_000

function urlOf(baseUrl: string, { path, query = {} }: Call): string {
  const url = new URL(baseUrl.replace(/\/+$/, '') + path)
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  return url.href
}

function headersOf(apiKey: string, call: Call): Record<string, string> {
  return {
    authorization: `Bearer ${apiKey}`,
    ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(call.subjectRef === undefined ? {} : { 'x-farebox-subject': call.subjectRef }),
    ...(call.idempotencyKey === undefined ? {} : { 'idempotency-key': call.idempotencyKey }),
  }
}

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)

function refusalOf(response: Response, body: unknown): FareboxError {
  const error = field(body, 'error')
  const message = textOf(field(error, 'message')) ?? `the gateway answered ${response.status}`
  return new FareboxError(message, {
    status: response.status,
    code: textOf(field(error, 'code')) ?? 'unknown',
    param: textOf(field(error, 'param')),
    requestId: response.headers.get('x-farebox-request-id'),
  })
}

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json()
  } catch (cause) {
    const facts = { status: response.ok ? 0 : response.status, code: 'not_json' }
    throw new FareboxError('the answer is not JSON; is the base URL right?', facts, { cause })
  }
}

/** How long to wait before the next try, or null where a try would change nothing. */
function waitMs(error: FareboxError, retryAfter: string | null, tried: number): number | null {
  const isAway = error.status === 0 || error.status >= 502 || error.status === 409
  if (!isAway && error.status !== 429) return null
  const asked = Number(retryAfter ?? Number.NaN) * 1_000
  const own = RETRY_MS * 2 ** tried * (0.5 + Math.random() / 2)
  return Math.min(RETRY_MS_MAX, Number.isFinite(asked) ? asked : own)
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(reasonOf(signal))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}

const reasonOf = (signal: AbortSignal | undefined): Error =>
  signal?.reason instanceof Error ? signal.reason : new Error('aborted')

/** Sends calls one by one, with tries where they are safe. Throws FareboxError. */
export function makeSend(options: FareboxOptions): Send {
  const { baseUrl, apiKey, timeoutMs = 10_000, retries = 2 } = options
  const send = options.fetch ?? fetch

  async function once(
    call: Call,
  ): Promise<{ body: unknown } | { error: FareboxError; after: string | null }> {
    const timeout = AbortSignal.timeout(timeoutMs)
    const signal = call.signal === undefined ? timeout : AbortSignal.any([timeout, call.signal])
    try {
      const response = await send(urlOf(baseUrl, call), {
        method: call.method,
        headers: headersOf(apiKey, call),
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        signal,
        redirect: 'error',
      })
      const body = await jsonOf(response)
      if (response.ok) return { body }
      return { error: refusalOf(response, body), after: response.headers.get('retry-after') }
    } catch (cause) {
      if (call.signal?.aborted === true) throw reasonOf(call.signal)
      if (cause instanceof FareboxError) return { error: cause, after: null }
      const facts = { status: 0, code: 'unreachable' }
      const error = new FareboxError('the gateway gave no answer', facts, { cause })
      return { error, after: null }
    }
  }

  return async (call) => {
    const isRepeatable =
      call.method === 'GET' || call.idempotencyKey !== undefined || call.isRepeatable === true
    for (let tried = 0; ; tried += 1) {
      const result = await once(call)
      if ('body' in result) return result.body
      const wait = waitMs(result.error, result.after, tried)
      if (wait === null || !isRepeatable || tried >= retries) throw result.error
      await pause(wait, call.signal)
    }
  }
}
