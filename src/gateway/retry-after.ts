import type { IncomingHttpHeaders } from 'node:http'
import { RETRY_AFTER_MS_MAX } from '../kernel/errors.ts'

/** One value of a header; of several the first, as proxies read it. */
function oneOf(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name]
  return (Array.isArray(value) ? value[0] : value)?.trim() ?? ''
}

const NUMBER = /^[+-]?\d+(?:\.\d+)?$/

const clamped = (ms: number): number => Math.min(Math.max(Math.ceil(ms), 0), RETRY_AFTER_MS_MAX)

/** What a `retry-after` asks for. A date counts from the answer's own: clocks differ. */
function waitMs(headers: IncomingHttpHeaders): number | null {
  const value = oneOf(headers, 'retry-after')
  if (value === '') return null
  if (NUMBER.test(value)) return clamped(Number(value) * 1_000)
  const at = Date.parse(value)
  if (Number.isNaN(at)) return null
  const from = Date.parse(oneOf(headers, 'date'))
  return Number.isNaN(from) ? RETRY_AFTER_MS_MAX : clamped(at - from)
}

function exactWaitMs(headers: IncomingHttpHeaders): number | null {
  const value = oneOf(headers, 'retry-after-ms')
  return NUMBER.test(value) ? clamped(Number(value)) : null
}

/**
 * How long an upstream asks to wait, as it goes on to a client: what it did not send, or not so
 * that it can be read, stays away. Never more than 60 s: the Anthropic SDK obeys any value.
 * Source: providers.md §2.
 */
export function retryHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const [wait, exact] = [waitMs(headers), exactWaitMs(headers)]
  return {
    ...(wait !== null && { 'retry-after': String(Math.ceil(wait / 1_000)) }),
    ...(exact !== null && { 'retry-after-ms': String(exact) }),
  }
}
