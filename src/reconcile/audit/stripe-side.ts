import { decimalOf, readAmount, type Decimal } from './amounts.ts'
import { readHeading, requireFields, STRIPE_FIELDS, type Chosen, type Reading } from './columns.ts'
import type { CsvFile } from './csv.ts'
import { isKnownStatus, moneyOf, ranked, sumOf, type Money, type Subscription } from './standing.ts'
import { makePool, noteLong, type Oddities } from './tally.ts'
import { readTime } from './values.ts'
import type { AppAccount } from './app-side.ts'

/** A customer of Stripe's with all of its subscriptions, and the accounts that are theirs. */
export interface Customer {
  /** '' = the export names customers by e-mail only. */
  readonly id: string
  /** Lower case; '' = none. */
  email: string
  readonly subscriptions: Subscription[]
  accounts: AppAccount[]
  /** A subscription came twice, differently. */
  isContradictory: boolean
}

/** By which decimal mark the amounts of a file were read, and which of them told it. */
export interface AmountReading {
  readonly decimal: Decimal
  /** null = none did: the separator of the file decided. */
  readonly sure: string | null
}

export interface StripeSide {
  /** null = the export has no amounts. */
  readonly amounts: AmountReading | null
  readonly reading: Reading<typeof STRIPE_FIELDS>
  readonly rows: number
  readonly subscriptions: number
  readonly customers: number
  all(): Iterable<Customer>
  ofId(customer: string): Customer | null
  ofSubscription(id: string): Customer | null
  ofEmail(email: string): readonly Customer[]
}

/** Subscriptions of one customer that are looked through; more get an index. */
const SCANNED_MAX = 16

type Cells = (field: keyof typeof STRIPE_FIELDS) => string

function makeReadSubscription(oddities: Oddities, decimal: Decimal) {
  const words = makePool<string>()
  const moneys = makePool<Money>()
  const pool = (text: string): string => words(text, text)
  const time = (cells: Cells, field: 'period_start' | 'period_end'): number | null => {
    const text = cells(field)
    const ms = readTime(text)
    if (text !== '' && ms === null) oddities.note(`rows whose ${field} is no time`, text)
    return ms === null ? null : Math.floor(ms / 1000)
  }
  return (id: string, cells: Cells): Subscription => {
    const status = cells('status')
      .toLowerCase()
      .replaceAll(/[\s-]+/g, '_')
    if (!isKnownStatus(status)) oddities.note('subscriptions with an unknown status', status)
    const text = cells('amount')
    const micros = readAmount(text, decimal)
    if (text !== '' && micros === null) oddities.note('rows whose amount is no amount', text)
    const minor = /^\d{1,12}$/.test(cells('minor_amount')) ? Number(cells('minor_amount')) : null
    const quantity = /^\d{1,9}$/.test(cells('quantity')) ? Number(cells('quantity')) : 1
    const currency = pool(cells('currency').toLowerCase())
    const per = { currency, interval: pool(cells('interval').toLowerCase()) }
    const money = moneyOf({ micros, minor }, quantity, per)
    return {
      id,
      status: pool(status),
      plan: pool(cells('plan')),
      money: money && moneys(`${money.micros} ${per.currency} ${per.interval}`, money),
      periodStartS: time(cells, 'period_start'),
      periodEndS: time(cells, 'period_end'),
    }
  }
}

/** What makes a row another item of its subscription. */
const itemOf = ({ plan, money }: Subscription): string =>
  [plan, money?.micros, money?.currency, money?.interval].join('\0')

/** Shared by all that have none: an empty array of their own would cost 200 000 times. */
const NOBODY: AppAccount[] = []

/** Hangs an account on its customer. An array that starts full takes no room for 16 more. */
export function hang(customer: Customer, account: AppAccount): void {
  if (customer.accounts.length === 0) customer.accounts = [account]
  else customer.accounts.push(account)
}

/** Customers by what names them. Indexes that not every pair of files needs are made when asked. */
interface Books {
  readonly byId: Map<string, Customer>
  /** Of customers with many: place of each subscription in their list. */
  readonly places: Map<Customer, Map<string, number>>
  /** Of subscriptions with more than one row: which items were counted. */
  readonly items: Map<string, Set<string>>
}

/** Where a customer's subscription of that id is; -1 = nowhere. */
function placeOf({ places }: Books, customer: Customer, id: string): number {
  const { subscriptions } = customer
  if (subscriptions.length <= SCANNED_MAX) return subscriptions.findIndex((one) => one.id === id)
  const known = places.get(customer)
  const made = known ?? new Map(subscriptions.map((one, at) => [one.id, at]))
  if (known === undefined) places.set(customer, made)
  return made.get(id) ?? -1
}

/** A row of a subscription that is there: the same again, another item of it, or another story. */
function addAgain(
  { items }: Books,
  customer: Customer,
  at: number,
  next: Subscription,
  oddities: Oddities,
): void {
  const known = customer.subscriptions[at]
  if (known === undefined) return
  if (known.status !== next.status) {
    oddities.note('subscriptions listed twice, differently', next.id)
    customer.isContradictory = true
    customer.subscriptions[at] = ranked([known, next])[0] ?? next
    return
  }
  const counted = items.get(next.id) ?? new Set([itemOf(known)])
  items.set(next.id, counted)
  if (counted.has(itemOf(next))) {
    oddities.note('rows that repeat another', next.id)
    return
  }
  counted.add(itemOf(next))
  customer.subscriptions[at] = { ...known, money: sumOf(known.money, next.money) }
}

/** One row's subscription, under its customer. Answers whether it is a new one. */
function add(
  books: Books,
  [id, email]: readonly [string, string],
  next: Subscription,
  oddities: Oddities,
): boolean {
  const key = id === '' ? email : id
  const known = books.byId.get(key)
  if (known === undefined) {
    const [subscriptions, accounts, isContradictory] = [[next], NOBODY, false]
    books.byId.set(key, { id, email, subscriptions, accounts, isContradictory })
    return true
  }
  if (known.email === '') known.email = email
  const at = placeOf(books, known, next.id)
  if (at !== -1) {
    addAgain(books, known, at, next, oddities)
    return false
  }
  books.places.get(known)?.set(next.id, known.subscriptions.length)
  known.subscriptions.push(next)
  return true
}

function byEmail(customers: Iterable<Customer>): Map<string, Customer | Customer[]> {
  const index = new Map<string, Customer | Customer[]>()
  for (const customer of customers) {
    const others = index.get(customer.email)
    if (others === undefined) index.set(customer.email, customer)
    else if (Array.isArray(others)) others.push(customer)
    else index.set(customer.email, [others, customer])
  }
  return index
}

function bySubscription(customers: Iterable<Customer>): Map<string, Customer> {
  const index = new Map<string, Customer>()
  for (const customer of customers) {
    for (const { id } of customer.subscriptions) index.set(id, customer)
  }
  return index
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null
  return () => (made ??= { value: make() }).value
}

function amountsOf(file: CsvFile, column: number | null): AmountReading | null {
  if (column === null) return null
  return decimalOf(
    file.sample.map((row) => row[column] ?? ''),
    file.separator,
  )
}

/** Reads Stripe's export. Throws AuditInputError. Memory: a few hundred bytes a subscription. */
export async function readStripe(
  file: CsvFile,
  chosen: Chosen,
  oddities: Oddities,
): Promise<StripeSide> {
  const reading = readHeading(file, STRIPE_FIELDS, chosen)
  const { columns } = reading
  requireFields(file, 'stripe', columns, [['status'], ['customer', 'email']])
  const books: Books = { byId: new Map(), places: new Map(), items: new Map() }
  const amounts = amountsOf(file, columns.amount)
  const read = makeReadSubscription(oddities, amounts?.decimal ?? '.')
  let [rows, subscriptions] = [0, 0]
  for await (const row of file.rows) {
    rows += 1
    noteLong(row, file.heading, rows + 1, oddities)
    const cells: Cells = (field) => {
      const at = columns[field]
      return at === null ? '' : (row[at] ?? '').trim()
    }
    const [customerId, email] = [cells('customer'), cells('email').toLowerCase()]
    if (customerId === '' && email === '') {
      oddities.note('rows of Stripe without a customer', `row ${rows + 1}`)
      continue
    }
    const id = cells('id') === '' ? `row ${rows + 1}` : cells('id')
    if (add(books, [customerId, email], read(id, cells), oddities)) subscriptions += 1
  }
  const all = (): Iterable<Customer> => books.byId.values()
  const emails = once(() => byEmail(all()))
  const owners = once(() => bySubscription(all()))
  return {
    ...{ reading, rows, amounts, subscriptions, customers: books.byId.size, all },
    ofId: (id) => books.byId.get(id) ?? null,
    ofSubscription: (id) => owners().get(id) ?? null,
    ofEmail: (email) => {
      const found = emails().get(email) ?? []
      return Array.isArray(found) ? found : [found]
    },
  }
}
