import { pino, type DestinationStream } from 'pino'
import type { Log, LogFields } from '../kernel/log.ts'

/** Things that open something, whatever text they were found in. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b(fbk?_(?:test|live)_[\w-]{4})[\w-]+/g, '$1…'],
  [/\b((?:sk|rk|pk|whsec)[-_])[\w-]{8,}/g, '$1…'],
  [/(\/claim\/)[\w-]{16,}/g, '$1…'],
  [/\bAIza[\w-]{10,}/g, 'AIza…'],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, '$1 …'],
  [/(:\/\/[^\s:/@]*:)[^\s@/]+@/g, '$1…@'],
]
const SECRET_FIELD = /(?:secret|password|authorization|api_?key|token)$/i

/** The text without what opens something: our keys, providers' keys, passwords in URLs. */
export function redact(text: string): string {
  return SECRETS.reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), text)
}

function redactFields(fields: LogFields): LogFields {
  const entries = Object.entries(fields).map(([name, value]): [string, LogFields[string]] => {
    if (typeof value !== 'string') return [name, value]
    return [name, SECRET_FIELD.test(name) ? '[redacted]' : redact(value)]
  })
  return Object.fromEntries(entries)
}

/**
 * JSON lines with an ISO time, a level in words and nothing that opens something.
 * `destination` defaults to standard output. Source: CONTRIBUTING.md.
 */
export function makeLog(options: {
  readonly level: string
  readonly name?: string
  readonly destination?: DestinationStream
}): Log {
  const settings = {
    level: options.level,
    base: { name: options.name ?? 'farebox', pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const { destination } = options
  const logger = destination === undefined ? pino(settings) : pino(settings, destination)
  return {
    debug: (fields, message) => {
      if (logger.isLevelEnabled('debug')) logger.debug(redactFields(fields), redact(message))
    },
    info: (fields, message) => {
      logger.info(redactFields(fields), redact(message))
    },
    warn: (fields, message) => {
      logger.warn(redactFields(fields), redact(message))
    },
    error: (fields, message) => {
      logger.error(redactFields(fields), redact(message))
    },
  }
}
