import { setTimeout as delay } from 'node:timers/promises'

/** For what never comes; what does come may take long on a machine that does much else. */
const WAIT_MS = 60_000

/**
 * Asks again until the answer is not null, false or undefined, or an assertion no longer throws.
 * Fails with the last reason after `waitMs`. The only waiting that tests do.
 */
export async function until<T>(
  ask: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  waitMs = WAIT_MS,
): Promise<T> {
  const deadline = performance.now() + waitMs
  let reason: unknown = new Error('the condition never came true')
  for (;;) {
    try {
      const answer = await ask()
      if (answer !== null && answer !== undefined && answer !== false) return answer
    } catch (error) {
      reason = error
    }
    if (performance.now() > deadline) throw reason
    await delay(20)
  }
}
