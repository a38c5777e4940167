import { accessOf, CONTRADICTORY, type AppOptions, type Cells } from './access.ts'
import { APP_FIELDS, readHeading, requireFields, type Chosen, type Reading } from './columns.ts'
import type { CsvFile } from './csv.ts'
import { hang, type Customer, type StripeSide } from './stripe-side.ts'
import { inForce } from './standing.ts'
import { noteLong, type Oddities } from './tally.ts'
import type { Access } from './values.ts'

/** By which of its fields an account was found to be a customer's. */
export type Link = 'customer' | 'subscription' | 'email' | 'ambiguous' | 'none'

/** An account of the operator's program. */
export interface AppAccount {
  readonly id: string
  readonly email: string
  /** The customer that its row names, also where Stripe has none such; '' = none. */
  readonly customerId: string
  access: Access
  /** Why its access is not known; '' = it is. */
  why: string
  readonly link: Link
  /** Its rows say different things. */
  isContradictory: boolean
}

export interface AppSide {
  readonly reading: Reading<typeof APP_FIELDS>
  readonly rows: number
  readonly accounts: number
  /** Linked to no customer, or not to one. The others hang on their customers. */
  readonly loose: ReadonlySet<AppAccount>
  /** Accounts that may be a customer's: others have their e-mail too. */
  readonly maybe: ReadonlyMap<Customer, readonly AppAccount[]>
}

interface Found {
  readonly link: Link
  readonly customer: Customer | null
  /** Of which nobody can tell whose it is. */
  readonly candidates: readonly Customer[]
}

const found = (link: Link, customer: Customer | null): Found => ({ link, customer, candidates: [] })

/** One customer of several that share an e-mail: the only one with something in force. */
function byEmail(candidates: readonly Customer[]): Found {
  const [first, ...others] = candidates
  if (first === undefined) return found('none', null)
  if (others.length === 0) return found('email', first)
  const paying = candidates.filter(({ subscriptions }) => inForce(subscriptions).length > 0)
  const [one] = paying
  return one !== undefined && paying.length === 1
    ? found('email', one)
    : { link: 'ambiguous', customer: null, candidates }
}

function linkOf(cells: Cells, stripe: StripeSide): Found {
  const named = cells('customer') === '' ? null : stripe.ofId(cells('customer'))
  if (named !== null) return found('customer', named)
  const id = cells('subscription')
  const owner = id === '' ? null : stripe.ofSubscription(id)
  if (owner !== null) return found('subscription', owner)
  const email = cells('email').toLowerCase()
  return email === '' ? found('none', null) : byEmail(stripe.ofEmail(email))
}

interface Kept {
  readonly byId: Map<string, AppAccount>
  readonly loose: Set<AppAccount>
  readonly maybe: Map<Customer, AppAccount[]>
}

/** Hangs an account where it belongs, and says of whom else it might be. */
function link(kept: Kept, account: AppAccount, { customer, candidates }: Found): void {
  if (customer !== null && !customer.accounts.includes(account)) hang(customer, account)
  for (const one of candidates) {
    const others = kept.maybe.get(one)
    if (others === undefined) kept.maybe.set(one, [account])
    else if (others.at(-1) !== account) others.push(account)
  }
}

function keep(kept: Kept, account: AppAccount, where: Found): void {
  kept.byId.set(account.id, account)
  if (where.customer === null) kept.loose.add(account)
  link(kept, account, where)
}

/** Another row of an account that says something else: a person must see which of them is true. */
function contradict(kept: Kept, account: AppAccount, where: Found): void {
  account.isContradictory = true
  account.access = 'unknown'
  account.why = CONTRADICTORY
  if (where.customer !== null) kept.loose.delete(account)
  link(kept, account, where)
}

/** The customer's own text where it is the same: two copies of each are not kept. */
const shared = (text: string, other: string | undefined): string => (text === other ? other : text)

/** Reads the program's accounts and hangs them on Stripe's customers. Throws AuditInputError. */
export async function readApp(
  file: CsvFile,
  chosen: Chosen,
  oddities: Oddities,
  options: AppOptions & { readonly stripe: StripeSide },
): Promise<AppSide> {
  const reading = readHeading(file, APP_FIELDS, chosen)
  const { columns } = reading
  requireFields(file, 'app', columns, [
    ['account', 'email', 'customer'],
    ['customer', 'email', 'subscription'],
    ['access', 'plan', 'until', 'blocked'],
  ])
  const kept: Kept = { byId: new Map(), loose: new Set(), maybe: new Map() }
  let rows = 0
  for await (const row of file.rows) {
    rows += 1
    noteLong(row, file.heading, rows + 1, oddities)
    const cells: Cells = (field) => {
      const at = columns[field]
      return at === null ? '' : (row[at] ?? '').trim()
    }
    const [email, customerId] = [cells('email').toLowerCase(), cells('customer')]
    const id = [cells('account'), email, customerId].find((one) => one !== '')
    if (id === undefined) {
      oddities.note('rows of the program that name nobody', `row ${rows + 1}`)
      continue
    }
    const { access, why } = accessOf(cells, columns, options, oddities)
    const known = kept.byId.get(id)
    if (known === undefined) {
      const where = linkOf(cells, options.stripe)
      const names = {
        email: shared(email, where.customer?.email),
        customerId: shared(customerId, where.customer?.id),
      }
      const account = { id, ...names, access, why, link: where.link, isContradictory: false }
      keep(kept, account, where)
    } else if (
      !known.isContradictory &&
      known.access === access &&
      known.customerId === customerId
    ) {
      oddities.note('accounts listed twice', id)
    } else {
      oddities.note('accounts listed twice, differently', id)
      contradict(kept, known, linkOf(cells, options.stripe))
    }
  }
  const { loose, maybe } = kept
  return { reading, rows, accounts: kept.byId.size, loose, maybe }
}
