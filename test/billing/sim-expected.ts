import type { World } from '../../src/demo/stripe/world.ts'
import { SOLD, type SimWorld } from './sim-world.ts'

type Thing = Record<string, unknown>

/** What the ledger should say of a sale, in micro-credits. */
export interface Expected {
  readonly granted: number
  readonly taken: number
}

const CREDIT = 1_000_000
const at = (thing: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>(
    (one, key) => (typeof one === 'object' && one !== null ? (one as Thing)[key] : undefined),
    thing,
  )
const text = (thing: unknown, ...path: readonly (string | number)[]): string => {
  const found = at(thing, ...path)
  return typeof found === 'string' ? found : ''
}
const number = (thing: unknown, ...path: readonly (string | number)[]): number => {
  const found = at(thing, ...path)
  return typeof found === 'number' ? found : 0
}
const sum = (amounts: readonly number[]): number => amounts.reduce((all, one) => all + one, 0)

/** ⌊n/d + ½⌋ without floats. */
const nearest = (n: bigint, d: bigint): number => Number((2n * n + d) / (2n * d))

/** What went back of a PaymentIntent: refunds that stand and what disputes kept. */
function moneyBack(world: World, intent: string): number {
  const refunds = world.all('refund').filter((one) => one.payment_intent === intent)
  const stands = refunds.filter((one) => /^(pending|succeeded)$/.test(text(one, 'status')))
  const disputes = world.all('dispute').filter((one) => one.payment_intent === intent)
  const kept = disputes.map((one) => {
    const moves = at(one, 'balance_transactions')
    return Math.max(0, -sum(Array.isArray(moves) ? moves.map((m) => number(m, 'amount')) : []))
  })
  return sum(stands.map((one) => number(one, 'amount'))) + sum(kept)
}

const taken = (granted: number, back: number, paid: number): number =>
  paid <= 0 ? 0 : nearest(BigInt(granted) * BigInt(Math.min(back, paid)), BigInt(paid))

type Lines = readonly unknown[]

/** The credits of a line that is no proration. */
function period(line: unknown, credits: ReadonlyMap<string, number>): [string, number] | null {
  const details = at(line, 'parent', 'subscription_item_details')
  if (details == null || at(details, 'proration') === true) return null
  const price = text(line, 'pricing', 'price_details', 'price')
  const each = credits.get(price) ?? 0
  const name = `${text(details, 'subscription_item')}:${number(line, 'period', 'start')}:${price}`
  return [name, each * number(line, 'quantity')]
}

/** Seconds of the period that ends at `endS`. */
function wholeOf(world: World, price: string, endS: number): number {
  const interval = text(world.find(price), 'recurring', 'interval')
  const months = interval === 'year' ? 12 : 1
  const end = new Date(endS * 1000)
  const first = new Date(Date.UTC(end.getUTCFullYear(), end.getUTCMonth() - months, 1))
  const [year, month] = [first.getUTCFullYear(), first.getUTCMonth()]
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  const time = endS % 86_400
  const day = Math.min(end.getUTCDate(), last)
  return endS - (Date.UTC(year, month, day) / 1000 + time)
}

/**
 * What changes of one item at one moment add: the plan after all of them less the plan before,
 * for the rest of the period, never below zero.
 */
function changes(world: World, lines: Lines, credits: ReadonlyMap<string, number>) {
  const own = lines.filter(
    (line) => at(line, 'parent', 'subscription_item_details', 'proration') === true,
  )
  const groups = Map.groupBy(
    own,
    (line) =>
      `${text(line, 'parent', 'subscription_item_details', 'subscription_item')}:${number(line, 'period', 'start')}`,
  )
  const result: [string, number][] = []
  for (const [name, group] of groups) {
    const creditsOf = (line: unknown): number =>
      (credits.get(text(line, 'pricing', 'price_details', 'price')) ?? 0) * number(line, 'quantity')
    const nameOf = (line: unknown): string =>
      `${text(line, 'pricing', 'price_details', 'price')} ${number(line, 'quantity')}`
    const minus = group.filter((line) => number(line, 'amount') < 0)
    const plus = group.filter((line) => number(line, 'amount') > 0)
    for (const line of [...plus]) {
      const twin = minus.findIndex((other) => nameOf(other) === nameOf(line))
      if (twin < 0) continue
      minus.splice(twin, 1)
      plus.splice(plus.indexOf(line), 1)
    }
    const [from] = minus
    const [to] = plus
    if (from === undefined || to === undefined) continue
    const price = text(to, 'pricing', 'price_details', 'price')
    const end = number(to, 'period', 'end')
    const more = Math.max(0, creditsOf(to) - creditsOf(from)) * CREDIT
    const part = BigInt(end - number(to, 'period', 'start'))
    const amount = nearest(BigInt(more) * part, BigInt(wholeOf(world, price, end)))
    if (amount > 0) result.push([`${name}:${price}`, amount])
  }
  return result
}

/** What all that was paid at the simulator grants, and what of it was taken back. */
export function expectedSales({ stripe, prices }: SimWorld): Map<string, Expected> {
  const { world } = stripe.sim.simulator
  const credits = new Map<string, number>([
    [prices.small, SOLD.small],
    [prices.large, SOLD.large],
    [prices.year, SOLD.year],
  ])
  const sales = new Map<string, Expected>()
  for (const session of world.all('checkout.session')) {
    if (session.mode !== 'payment' || session.status !== 'complete') continue
    const intent = text(session, 'payment_intent')
    const isPaid = text(world.find(intent), 'status') === 'succeeded'
    if (!isPaid && session.payment_status !== 'no_payment_required') continue
    const granted = SOLD.pack * CREDIT
    const back = taken(granted, moneyBack(world, intent), number(session, 'amount_total'))
    sales.set(`checkout:${text(session, 'id')}`, { granted, taken: back })
  }
  for (const invoice of world.all('invoice')) {
    if (invoice.status !== 'paid') continue
    const id = text(invoice, 'id')
    const of = text(invoice, 'parent', 'subscription_details', 'subscription')
    const payments = world.all('invoice_payment').filter((one) => one.invoice === id)
    const paidBy = payments.filter((one) => one.status === 'paid')
    const back = sum(paidBy.map((one) => moneyBack(world, text(one, 'payment', 'payment_intent'))))
    const lines = world.note(id).lines
    const all: Lines = Array.isArray(lines) ? lines : []
    const periods = all.flatMap((line) => {
      const found = period(line, credits)
      return found === null || number(line, 'amount') < 0 ? [] : [found]
    })
    const grants = periods.map(([name, each]) => [name, each * CREDIT] as const)
    for (const [name, granted] of [...grants, ...changes(world, all, credits)]) {
      if (granted === 0) continue
      const paid = Math.max(0, number(invoice, 'total'))
      sales.set(`included:${of}:${name}`, { granted, taken: taken(granted, back, paid) })
    }
  }
  return sales
}
