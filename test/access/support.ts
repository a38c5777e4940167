import type { KeyLimits } from '../../src/access/rows.ts'
import type { CreateAccount } from '../../src/access/accounts.ts'
import { ZERO } from '../../src/kernel/money.ts'

export const noLimits = (name = 'test'): KeyLimits => ({
  name,
  models: null,
  endpoints: null,
  budget: null,
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrency: null,
  expiresAtMs: null,
})

export const anAccount = (fields: Partial<CreateAccount> = {}): CreateAccount => ({
  id: null,
  subjectRef: null,
  name: 'Ada',
  email: null,
  stripeCustomerId: null,
  creditLimitMicros: ZERO,
  overageLimitMicros: ZERO,
  markup: null,
  actor: 'test',
  ...fields,
})

/** Asks until `done`, for at most `waitMs`. Throws with the last answer. */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  done: (answer: T) => boolean,
  waitMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + waitMs
  for (;;) {
    const answer = await ask()
    if (done(answer)) return answer
    if (performance.now() > deadline) throw new Error(`still ${JSON.stringify(answer)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
