import { SENT_PIECE_BYTES } from '../kernel/limits/upstreams.ts'
import { filledOutline } from '../protocols/json-outline.ts'
import type { Arrival, Target } from './context.ts'

/** A body to send: in pieces where encrypting or copying it at once would take long. */
export type SentBody = Buffer | readonly Buffer[]

/** Whether we ask the provider for the usage chunk that the client did not ask for. */
export const injectsUsage = ({ view, protocol }: Arrival): boolean =>
  view.stream && protocol.family === 'openai' && !view.wantsUsageChunk

/** The bytes to send: the client's own, unless a field must be injected. Source: design §2.2. */
export function bodyFor(
  arrival: Arrival,
  target: Target,
  outputTokensLimit: number | null,
): SentBody {
  const { view, protocol, raw } = arrival
  const { readApart } = view
  const includeUsage = injectsUsage(arrival)
  if (outputTokensLimit === null && !includeUsage && view.rewriteAlways !== true) {
    return readApart === undefined ? raw : inPieces([raw])
  }
  const { outputLimitField } = target.upstream
  const injection = { outputTokensLimit, outputLimitField, includeUsage }
  if (readApart === undefined) return protocol.rewrite(raw, view, injection) ?? raw
  const { outline } = readApart
  const text = outline && protocol.rewrite(Buffer.from(outline.text), view, injection)
  if (outline === null || text === null) return inPieces([raw])
  return inPieces(filledOutline(raw, outline, text))
}

function inPieces(parts: readonly Buffer[]): Buffer[] {
  const pieces: Buffer[] = []
  for (const part of parts) {
    for (let from = 0; from < part.length; from += SENT_PIECE_BYTES) {
      pieces.push(part.subarray(from, from + SENT_PIECE_BYTES))
    }
  }
  return pieces
}
