import { setTimeout as delay } from 'node:timers/promises'

/**
 * Asks again until the answer is not null, false or undefined, or an assertion no longer throws.
 * Fails with the last reason after `waitMs`. The only waiting that tests do.
 */
export async function until<T>(
  ask: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  waitMs = 15_000,
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
