import type { Arrival, Target } from './context.ts'

/** Whether we ask the provider for the usage chunk that the client did not ask for. */
export const injectsUsage = ({ view, protocol }: Arrival): boolean =>
  view.stream && protocol.family === 'openai' && !view.wantsUsageChunk

/** The bytes to send: the client's own, unless a field must be injected. Source: design §2.2. */
export function bodyFor(
  arrival: Arrival,
  target: Target,
  outputTokensLimit: number | null,
): Buffer {
  const { view, protocol, raw } = arrival
  const includeUsage = injectsUsage(arrival)
  if (outputTokensLimit === null && !includeUsage && view.rewriteAlways !== true) return raw
  const { outputLimitField } = target.upstream
  return protocol.rewrite(raw, view, { outputTokensLimit, outputLimitField, includeUsage }) ?? raw
}
