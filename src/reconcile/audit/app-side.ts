import { APP_FIELDS, readHeading, requireFields, type Chosen, type Reading } from './columns.ts'
import type { CsvFile } from './csv.ts'
import { hang, type Customer, type StripeSide } from './stripe-side.ts'
import { inForce } from './standing.ts'
import type { Oddities } from './tally.ts'
import { isFreePlan, readAccess, readTime, type Access, type Words } from './values.ts'

/** By which of its fields an account was found to be a customer's. */
export type Link = 'customer' | 'subscription' | 'email' | 'ambiguous' | 'none'

/** An account of the operator's program. */
export interface AppAccount {
  readonly id: string
  readonly email: string
  /** The customer that its row names, also where Stripe has none such; '' = none. */
  readonly customerId: string
  access: Access
  readonly link: Link
  /** Its rows say different things. */
  isContradictory: boolean
}

export interface AppSide {
  readonly reading: Reading<typeof APP_FIELDS>
  readonly rows: number
  readonly accounts: number
  /** Linked to no customer, or not to one. The others hang on their customers. */
  readonly loose: readonly AppAccount[]
}

export interface AppOptions {
  readonly words: Words
  readonly nowMs: number
}

type Cells = (field: keyof typeof APP_FIELDS) => string
type AppColumns = Reading<typeof APP_FIELDS>['columns']

/** What the row's columns say together: each of them can take access away. */
function accessOf(
  cells: Cells,
  columns: AppColumns,
  { words, nowMs }: AppOptions,
  oddities: Oddities,
): Access {
  if (columns.blocked !== null && readAccess(cells('blocked'), words) === 'active') return 'blocked'
  if (columns.plan !== null && isFreePlan(cells('plan'), words)) return 'blocked'
  const untilMs = readTime(cells('until'))
  if (untilMs !== null && untilMs <= nowMs) return 'blocked'
  if (columns.access === null) {
    const isAllowed = columns.plan !== null || columns.blocked !== null || untilMs !== null
    return isAllowed ? 'active' : 'blocked'
  }
  const access = readAccess(cells('access'), words)
  if (access === 'unknown') oddities.note('accounts with an unknown access word', cells('access'))
  return access
}

interface Found {
  readonly link: Link
  readonly customer: Customer | null
}

/** One customer of several that share an e-mail: the only one with something in force. */
function byEmail(candidates: readonly Customer[]): Found {
  const [first, ...others] = candidates
  if (first === undefined) return { link: 'none', customer: null }
  if (others.length === 0) return { link: 'email', customer: first }
  const paying = candidates.filter(({ subscriptions }) => inForce(subscriptions).length > 0)
  const [one] = paying
  return one !== undefined && paying.length === 1
    ? { link: 'email', customer: one }
    : { link: 'ambiguous', customer: null }
}

function linkOf(cells: Cells, stripe: StripeSide): Found {
  const named = cells('customer') === '' ? null : stripe.ofId(cells('customer'))
  if (named !== null) return { link: 'customer', customer: named }
  const id = cells('subscription')
  const owner = id === '' ? null : stripe.ofSubscription(id)
  if (owner !== null) return { link: 'subscription', customer: owner }
  const email = cells('email').toLowerCase()
  return email === '' ? { link: 'none', customer: null } : byEmail(stripe.ofEmail(email))
}

interface Kept {
  readonly byId: Map<string, AppAccount>
  readonly loose: AppAccount[]
}

function keep(kept: Kept, account: AppAccount, customer: Customer | null): void {
  kept.byId.set(account.id, account)
  if (customer === null) kept.loose.push(account)
  else hang(customer, account)
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
  const kept: Kept = { byId: new Map(), loose: [] }
  let rows = 0
  for await (const row of file.rows) {
    rows += 1
    const cells: Cells = (field) => {
      const at = columns[field]
      return at === null ? '' : (row[at] ?? '')
    }
    const [email, customerId] = [cells('email').toLowerCase(), cells('customer')]
    const id = [cells('account'), email, customerId].find((one) => one !== '')
    if (id === undefined) {
      oddities.note('rows of the program that name nobody', `row ${rows + 1}`)
      continue
    }
    const access = accessOf(cells, columns, options, oddities)
    const known = kept.byId.get(id)
    if (known === undefined) {
      const { link, customer } = linkOf(cells, options.stripe)
      const names = {
        email: shared(email, customer?.email),
        customerId: shared(customerId, customer?.id),
      }
      keep(kept, { id, ...names, access, link, isContradictory: false }, customer)
    } else if (known.access === access && known.customerId === customerId) {
      oddities.note('accounts listed twice', id)
    } else {
      oddities.note('accounts listed twice, differently', id)
      known.isContradictory = true
    }
  }
  return { reading, rows, accounts: kept.byId.size, loose: kept.loose }
}
