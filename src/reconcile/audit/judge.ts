import type { AppAccount, AppSide } from './app-side.ts'
import type { Direction, Excuse, Notes } from './notes.ts'
import {
  inForce,
  ranked,
  standingOfAll,
  total,
  type Moment,
  type Money,
  type Standing,
  type Subscription,
} from './standing.ts'
import type { Customer, StripeSide } from './stripe-side.ts'

export const AUDIT_KINDS = [
  ...(['paid_but_blocked', 'orphaned', 'unpaid_but_active', 'several_subscriptions'] as const),
  ...(['ambiguous', 'missing_link'] as const),
]
export type AuditKind = (typeof AUDIT_KINDS)[number]

export interface AuditFinding {
  readonly kind: AuditKind
  readonly severity: 'urgent' | 'review'
  /** Which of the two is wronged: who pays, or who is paid. null = neither is certain. */
  readonly direction: Direction | null
  /** Accounts of the program, ids; '' = none. */
  readonly account: string
  readonly customer: string
  readonly email: string
  readonly subscription: string
  /** null = nothing, or the export does not say. */
  readonly atStake: Money | null
  readonly detail: string
  /** A note that stands explains it: it is counted, and no alarm. */
  readonly explained: string | null
}

export interface JudgeDeps extends Moment {
  readonly stripe: StripeSide
  readonly app: AppSide
  readonly notes: Notes
}

type Draft = Pick<AuditFinding, 'kind' | 'severity' | 'direction' | 'detail'> & {
  readonly atStake?: Money | null
}

const IDS_SHOWN_MAX = 5
const REVIEW = { severity: 'review', direction: null } as const

/** "a, b and 3 more". */
function listed(ids: readonly string[]): string {
  const shown = ids.slice(0, IDS_SHOWN_MAX).join(', ')
  return ids.length > IDS_SHOWN_MAX ? `${shown} and ${ids.length - IDS_SHOWN_MAX} more` : shown
}

/** A customer, looked at once however many accounts are theirs. */
interface Case {
  readonly customer: Customer
  readonly standing: Standing
  /** Best first. */
  readonly subscriptions: readonly Subscription[]
  readonly names: readonly string[]
}

function about(
  one: Case | null,
  accounts: readonly AppAccount[],
  draft: Draft,
  excuse: Excuse | null,
): AuditFinding {
  const { note, stands = false } = excuse ?? {}
  const text = note === undefined ? '' : note.text === '' ? note.kind : `${note.kind}: ${note.text}`
  const ranOut = note !== undefined && !stands ? `; its note ran out (${text})` : ''
  const [first] = accounts
  const email = one?.customer.email ?? ''
  return {
    ...{ kind: draft.kind, severity: draft.severity, direction: draft.direction },
    account: listed(accounts.map(({ id }) => id)),
    customer: one?.customer.id ?? first?.customerId ?? '',
    email: email === '' ? (first?.email ?? '') : email,
    subscription: one?.subscriptions[0]?.id ?? '',
    atStake: draft.atStake ?? null,
    detail: `${draft.detail}${ranOut}`,
    explained: stands ? text : null,
  }
}

const namesOf = (accounts: readonly AppAccount[]): string[] =>
  accounts.flatMap(({ id, email, customerId }) => [id, email, customerId])

/** An exception of the account, or of its customer. */
function excuseOf(
  { notes, nowMs }: JudgeDeps,
  names: readonly string[],
  direction: Direction,
  ofCustomer: Excuse | null,
): Excuse | null {
  const own = notes.excuse(names, direction, nowMs)
  return own?.stands === true ? own : (ofCustomer ?? own)
}

const saying: Readonly<Record<Standing, string>> = {
  paid: 'a subscription is active',
  trial: 'a subscription is in its trial',
  grace: 'payment is being tried again',
  paid_through: 'ended, paid until the end of its period',
  unpaid: 'no payment comes',
  none: 'all subscriptions have ended',
  unknown: 'its status is not known',
}

/** Who pays, and some account that is theirs or another customer's. */
function mayBeTheirs(one: Case, maybe: readonly AppAccount[], excuse: Excuse | null): AuditFinding {
  const ids = listed(maybe.map(({ id }) => id))
  const detail = `${saying[one.standing]}; their e-mail is that of several customers, and of ${ids}`
  const atStake = total(inForce(one.subscriptions))
  return about(one, maybe, { ...REVIEW, kind: 'ambiguous', detail, atStake }, excuse)
}

/** Who pays and has no access; urgent where it is money, not a trial. */
function blocked(deps: JudgeDeps, one: Case, excuse: Excuse | null): AuditFinding | null {
  const { standing, subscriptions } = one
  const { accounts } = one.customer
  if (standing !== 'paid' && standing !== 'trial') return null
  if (!accounts.every(({ access }) => access === 'blocked')) return null
  const atStake = total(inForce(subscriptions)) ?? subscriptions[0]?.money ?? null
  const isOrphan = accounts.length === 0
  const maybe = deps.app.maybe.get(one.customer) ?? []
  if (isOrphan && maybe.length > 0) return mayBeTheirs(one, maybe, excuse)
  const whose = isOrphan ? 'no account is theirs' : 'the account has no access'
  const draft: Draft = {
    kind: isOrphan ? 'orphaned' : 'paid_but_blocked',
    // One that is told twice, differently, may have ended.
    severity: standing === 'paid' && !one.customer.isContradictory ? 'urgent' : 'review',
    direction: 'paid_but_blocked',
    detail: `${saying[standing]}, and ${whose}`,
    atStake,
  }
  const own = excuseOf(deps, namesOf(accounts), 'paid_but_blocked', excuse)
  return about(one, accounts, draft, own)
}

/** Who has access, and nobody pays. */
function* unpaid(deps: JudgeDeps, one: Case): Generator<AuditFinding> {
  if (one.standing !== 'unpaid' && one.standing !== 'none') return
  const kind = 'unpaid_but_active'
  const excuse = deps.notes.excuse(one.names, kind, deps.nowMs)
  const detail = `the account has access, and ${saying[one.standing]}`
  const atStake = one.subscriptions[0]?.money ?? null
  const draft = { kind, severity: 'review', direction: kind, detail, atStake } as const
  for (const account of one.customer.accounts.filter(({ access }) => access === 'active')) {
    yield about(one, [account], draft, excuseOf(deps, namesOf([account]), kind, excuse))
  }
}

function ambiguities(customer: Customer, standing: Standing): string[] {
  const { accounts } = customer
  const of = (access: string) => accounts.filter((one) => one.access === access)
  const unclear = of('unknown')
  const isTwice = unclear.some((one) => one.isContradictory)
  const mayMatter = standing !== 'none' || of('active').length > 0 || isTwice
  const texts: string[] = []
  if (standing === 'unknown') texts.push('the subscription has a status that is not known')
  if (customer.isContradictory) texts.push('the export tells a subscription twice, differently')
  if (mayMatter && unclear.length > 0) {
    const whys = [...new Set(unclear.map(({ why }) => why))]
    texts.push(`the access of ${listed(unclear.map(({ id }) => id))} is unclear: ${listed(whys)}`)
  }
  if (of('active').length > 0 && of('blocked').length > 0 && standing === 'paid') {
    texts.push(`of its accounts ${listed(of('blocked').map(({ id }) => id))} have no access`)
  }
  if (accounts.filter(({ link }) => link === 'email').length > 1)
    texts.push('several accounts have this e-mail')
  return texts
}

function caseOf(deps: JudgeDeps, customer: Customer): Case {
  const { id, email } = customer
  const subscriptions = ranked(customer.subscriptions)
  const standing = standingOfAll(subscriptions, deps)
  const names = deps.notes.count === 0 ? [] : [id, email, ...subscriptions.map((one) => one.id)]
  return { customer, standing, subscriptions, names }
}

function* ofCustomer(deps: JudgeDeps, customer: Customer): Generator<AuditFinding> {
  const one = caseOf(deps, customer)
  const { accounts } = customer
  const excuse = deps.notes.excuse(one.names, 'paid_but_blocked', deps.nowMs)
  const wronged = blocked(deps, one, excuse)
  if (wronged !== null) yield wronged
  yield* unpaid(deps, one)
  const ignored = excuse?.note.kind === 'ignore' ? excuse : null
  const going = inForce(one.subscriptions)
  if (going.length > 1) {
    const detail = `${going.length} in force: ${listed(going.map(({ id }) => id))}`
    const draft = { ...REVIEW, kind: 'several_subscriptions', detail } as const
    yield about(one, accounts, { ...draft, atStake: total(going.slice(1)) }, ignored)
  }
  for (const detail of ambiguities(customer, one.standing)) {
    const atStake = one.standing === 'paid' ? total(going) : null
    yield about(one, accounts, { ...REVIEW, kind: 'ambiguous', detail, atStake }, ignored)
  }
  if (going.length === 0 || customer.id === '' || wronged !== null) return
  for (const account of accounts.filter(({ link }) => link === 'email')) {
    const names = account.customerId === '' ? 'names no customer' : `names ${account.customerId}`
    const detail = `found by its e-mail only: the account ${names}, the export ${customer.id}`
    yield about(one, [account], { ...REVIEW, kind: 'missing_link', detail }, ignored)
  }
}

/** An account that is nobody's customer. */
function ofLoose(deps: JudgeDeps, account: AppAccount): AuditFinding | null {
  const excuse = deps.notes.excuse(namesOf([account]), 'unpaid_but_active', deps.nowMs)
  if (account.link === 'ambiguous' || account.isContradictory) {
    const detail = account.isContradictory
      ? `the access of the account is unclear: ${account.why}`
      : 'several customers have this e-mail, and the account names none of them'
    const draft = { kind: 'ambiguous', severity: 'review', direction: null, detail } as const
    return about(null, [account], draft, excuse)
  }
  if (account.access !== 'active') return null
  const named = account.customerId === '' ? '' : ` (it names ${account.customerId})`
  const detail = `the account has access, and no subscription is theirs${named}`
  const kind = 'unpaid_but_active'
  return about(null, [account], { kind, severity: 'review', direction: kind, detail }, excuse)
}

/**
 * Everything on which the two exports differ, one after the other: nothing is collected, so that
 * this can be asked more than once. Source: design §6 (I3, I4), §7.
 */
export function* judge(deps: JudgeDeps): Generator<AuditFinding> {
  for (const customer of deps.stripe.all()) yield* ofCustomer(deps, customer)
  for (const account of deps.app.loose) {
    const found = ofLoose(deps, account)
    if (found !== null) yield found
  }
}
