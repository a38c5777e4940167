import type { CheckPage, Scope } from './check.ts'
import type { Drift } from './drift.ts'

/** Who knows what of Stripe's has changed of late. */
export interface Quarantine {
  touched(ids: readonly string[], sinceMs: number): Promise<ReadonlySet<string>>
}

/**
 * Of what was found: that whose sides have stood for as long as the quarantine. An old payment that
 * is refunded now is as young as its refund. Asked after the looks, and only where something was
 * found. Source: design §6.
 */
export async function settled(
  deps: Quarantine,
  found: readonly Drift[],
  { untilMs }: Scope,
): Promise<Pick<CheckPage, 'drifts' | 'unjudged'>> {
  if (found.length === 0) return { drifts: found }
  const young = await deps.touched(
    found.map(({ subject }) => subject),
    untilMs,
  )
  return { drifts: found.filter(({ subject }) => !young.has(subject)), unjudged: [...young] }
}
