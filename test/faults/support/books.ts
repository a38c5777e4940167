import { expect } from 'vitest'
import { z } from 'zod'
import type { Customer } from '../../support/admin.ts'
import type { Gateway } from '../../support/gateway.ts'
import { until } from '../../support/until.ts'
import type { Outcome } from './load.ts'
import type { FaultWorld } from './world.ts'

const charge = z.object({
  hold_id: z.string(),
  rev: z.number(),
  revs: z.number(),
  micros: z.coerce.number(),
  moved: z.coerce.number(),
  late: z.boolean(),
})
export type Charge = z.infer<typeof charge>

/** Every hold of theirs that was charged: its highest rev, and what the ledger took for it. */
export async function readCharges(
  world: FaultWorld,
  customers: readonly Customer[],
): Promise<ReadonlyMap<string, Charge>> {
  const accounts = customers.map(({ accountId }) => `'${accountId}'`).join()
  const rows = await world.sql(`
    SELECT u.hold_id::text, max(u.rev)::int AS rev, count(*)::int AS revs, bool_or(u.late) AS late,
      (array_agg(u.micros ORDER BY u.rev DESC))[1] AS micros,
      (SELECT coalesce(-sum(e.micros), 0) FROM ledger_entries e
       WHERE e.reference_type = 'usage' AND e.reference_id = u.hold_id::text) AS moved
    FROM usage u WHERE u.account_id IN (${accounts}) GROUP BY u.hold_id`)
  return new Map(rows.map((row) => [String(row.hold_id), charge.parse(row)]))
}

const report = z.looseObject({
  ok: z.boolean(),
  breaches: z.array(z.looseObject({ invariant: z.string(), subject: z.string() })),
})

/** Of one account, or of all. */
export async function verify(
  gateway: Gateway,
  accountId?: string,
): Promise<z.infer<typeof report>> {
  const which = accountId === undefined ? {} : { account_id: accountId }
  const response = await gateway.admin.call('POST', '/admin/v1/verify', which)
  expect(response.status).toBe(200)
  return report.parse(await response.json())
}

/** Nothing is held any more, nothing waits for Postgres, and both stores say the same. */
export async function expectAtRest(
  gateway: Gateway,
  customers: readonly Customer[],
): Promise<void> {
  await until(async () => {
    for (const { apiKey } of customers) {
      const { held, available, posted } = await gateway.admin.balance(apiKey)
      expect(held.micros).toBe(0)
      expect(available.micros).toBe(posted.micros)
    }
    return true
  })
}

/**
 * What is wrong with the books. How Stripe's deliveries fare is told as well, and rightly so where
 * a test loses, delays and repeats them: those findings say nothing of the books.
 */
export const findingsOf = (world: FaultWorld): Promise<readonly Record<string, unknown>[]> =>
  world.sql(`SELECT * FROM findings WHERE kind NOT IN ('stripe_deliveries_unanswered',
    'stripe_deliveries_repeated', 'stripe_processing_late', 'stripe_events_waiting',
    'stripe_usable_late')`)

/**
 * The promise of the house. Every complete answer was charged once, at its amount; every refused
 * one not at all; a broken one at most once; nothing was charged that nobody asked for; the
 * invariants hold and nothing is left over. Source: design §3, §6 (I1, I2, I7, I9).
 */
export async function expectBooks(
  world: FaultWorld,
  gateway: Gateway,
  customers: readonly Customer[],
  outcomes: readonly Outcome[],
): Promise<ReadonlyMap<string, Charge>> {
  await expectAtRest(gateway, customers)
  const charges = await readCharges(world, customers)
  expectOutcomes(charges, outcomes)
  expect(await verify(gateway)).toMatchObject({ ok: true, breaches: [], undecided: [] })
  expect(await findingsOf(world)).toEqual([])
  return charges
}

function expectOutcomes(charges: ReadonlyMap<string, Charge>, outcomes: readonly Outcome[]): void {
  const known = new Set<string>()
  const wrong: unknown[] = []
  for (const outcome of outcomes) {
    if (outcome.requestId === null) continue
    known.add(outcome.requestId)
    const found = charges.get(outcome.requestId)
    const { end, micros } = outcome
    if (end === 'complete' && found?.micros !== micros) wrong.push({ outcome, found })
    if (end === 'refused' && found !== undefined) wrong.push({ outcome, found })
  }
  for (const one of charges.values()) if (one.moved !== one.micros) wrong.push({ moved: one })
  expect(wrong).toEqual([])
  const unknown = [...charges.keys()].filter((id) => !known.has(id))
  const nameless = outcomes.filter((one) => one.end === 'broken' && one.requestId === null)
  expect(unknown.length).toBeLessThanOrEqual(nameless.length)
}

export const countOf = (outcomes: readonly Outcome[], end: Outcome['end']): number =>
  outcomes.filter((one) => one.end === end).length
