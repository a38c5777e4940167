import type { IncomingHttpHeaders } from 'node:http'
import { refuse, type Refusal } from '../kernel/errors.ts'

/** What OpenAI and Google offer under these names is asynchronous or a session. */
const NAMES =
  'batches|files|uploads|fine_tuning|fine-tunes|assistants|threads|realtime|live|tunedModels'
const UNMETERED = new RegExp(`^(?:/upload)?/v1(?:beta)?/(?:${NAMES})(?:[/:]|$)`)
const ANTHROPIC_BATCHES = /^\/v1\/messages\/batches(?:\/|$)/
const GEMINI_METHODS = /^\/v1(?:beta)?\/models\/.+:(?:batch|asyncbatch|bidi)\w+$/i
const GEMINI_LIVE = /^\/ws\/google\.ai\./

const WEBSOCKET = refuse(
  'unsupported_feature',
  'WebSockets are not offered here: they are not metered. Use HTTP, streamed or not.',
)

/** A request to leave HTTP. null = it is not one. Source: providers.md §1. */
export function refuseUpgrade({ upgrade }: IncomingHttpHeaders): Refusal | null {
  return upgrade?.toLowerCase().includes('websocket') === true ? WEBSOCKET : null
}

/** Why there is nothing at a path: it cannot be metered, or nobody offers it. */
export function refuseUnknown(method: string, url: string, headers: IncomingHttpHeaders): Refusal {
  const [path = ''] = url.split(/[?#]/, 1)
  const shown = path.slice(0, 128)
  const isUnmetered = [UNMETERED, ANTHROPIC_BATCHES, GEMINI_METHODS, GEMINI_LIVE].some((pattern) =>
    pattern.test(path.replace(/\/{2,}/g, '/').replace(/%3a/gi, ':')),
  )
  if (isUnmetered) {
    return refuse('unsupported', `${shown} is not offered here: it cannot be metered.`)
  }
  return refuseUpgrade(headers) ?? refuse('not_found', `There is no ${method} ${shown} here.`)
}
