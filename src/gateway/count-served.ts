import type { GatewayDeps } from './context.ts'
import type { Counting } from './reply.ts'

/** A request that credits are held for; with another upstream it stays the same one. */
export interface Served {
  readonly draft: { readonly protocol: string; readonly upstream: string }
  readonly startedMonoMs: number
  /** Monotonic ms; 0 = not yet. */
  readonly times: { sentMs: number; readonly endedMs: number; countedMs: number }
}

/** Counts it with what it took; once, whatever else it comes to. */
export function countServed(
  { hooks, clock }: Counting & Pick<GatewayDeps, 'clock'>,
  { draft, startedMonoMs, times }: Served,
  status: number,
  estimated: boolean,
): void {
  if (times.countedMs > 0) return
  times.countedMs = clock.monotonicMs()
  const sent = times.sentMs > 0
  hooks.requestDone({
    protocol: draft.protocol,
    upstream: draft.upstream,
    ...{ status, estimated },
    beforeMs: sent ? times.sentMs - startedMonoMs : null,
    afterMs: sent && times.endedMs > 0 ? times.countedMs - times.endedMs : null,
  })
}
