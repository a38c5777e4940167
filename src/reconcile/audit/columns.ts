import { AuditInputError } from './csv.ts'

/** What the audit wants to know of a row, with the headings under which others write it. */
export type FieldNames = Readonly<Record<string, readonly string[]>>

/** Stripe's Dashboard exports of several years, Sigma's tables and the API's own names. */
export const STRIPE_FIELDS = {
  id: ['id', 'subscription id', 'subscription'],
  customer: ['customer id', 'customer', 'stripe customer id'],
  email: ['customer email', 'email', 'customer email address'],
  status: ['status', 'subscription status', 'state'],
  plan: ['plan', 'plan id', 'price id', 'price', 'plan name', 'product', 'product name'],
  quantity: ['quantity', 'qty'],
  amount: ['amount', 'plan amount', 'price amount'],
  minor_amount: ['unit amount', 'price unit amount', 'amount in cents', 'amount cents'],
  currency: ['currency', 'plan currency', 'price currency'],
  interval: ['interval', 'plan interval', 'billing interval', 'price recurring interval'],
  period_start: ['current period start', 'period start'],
  period_end: ['current period end', 'period end', 'renews at', 'next billing date'],
} as const satisfies FieldNames

/** The names that programs give these columns in tables of their own. */
export const APP_FIELDS = {
  account: [
    ...['account id', 'user id', 'uid', 'id', 'account', 'user', 'team id', 'organization id'],
    ...['org id', 'workspace id', 'tenant id', 'external id', 'subject ref', 'username'],
  ],
  email: ['email', 'email address', 'user email', 'customer email', 'owner email', 'mail'],
  customer: [
    ...['stripe customer id', 'stripe customer', 'stripe id', 'customer id', 'customer'],
    ...['billing customer id', 'billing id'],
  ],
  subscription: ['stripe subscription id', 'stripe subscription', 'subscription id'],
  access: [
    ...['access', 'has access', 'is active', 'active', 'enabled', 'access status', 'status'],
    ...['account status', 'subscription status', 'is subscribed', 'subscribed', 'is paid', 'paid'],
    ...['is pro', 'is premium', 'premium', 'state'],
  ],
  blocked: ['blocked', 'is blocked', 'disabled', 'is disabled', 'suspended', 'banned'],
  plan: ['plan', 'tier', 'plan name', 'subscription plan', 'plan id', 'package', 'level'],
  until: [
    ...['access until', 'paid until', 'active until', 'valid until', 'premium until'],
    ...['expires at', 'expires', 'current period end', 'subscription end', 'subscription ends at'],
  ],
} as const satisfies FieldNames

export const NOTE_FIELDS = {
  subject: [
    ...['subject', 'account', 'account id', 'user id', 'customer', 'customer id', 'email', 'id'],
    ...['subscription id', 'subscription'],
  ],
  kind: ['kind', 'exception', 'type', 'reason'],
  until: ['until', 'expires', 'expires at', 'valid until'],
  note: ['note', 'notes', 'comment', 'why'],
} as const satisfies FieldNames

/** Letters and digits only: "Current Period End (UTC)" and "current_period_end" are one name. */
const plain = (name: string): string =>
  name
    .toLowerCase()
    .replace(/\(utc\)/g, '')
    .replaceAll(/[^\p{L}\p{N}]/gu, '')

/** Which column holds each field; null = none does. */
export type Columns<Names extends FieldNames> = Readonly<Record<keyof Names, number | null>>

export interface FieldChoice {
  readonly field: string
  readonly column: string
}

/** Fields named by hand: field → heading. */
export type Chosen = ReadonlyMap<string, string>

/** How a file was understood, for its reader to confirm. */
export interface Reading<Names extends FieldNames> {
  readonly columns: Columns<Names>
  readonly used: readonly FieldChoice[]
  /** Headings that nothing was read from. */
  readonly unused: readonly string[]
}

/** Throws AuditInputError where a heading that was named by hand is not there. */
export function readHeading<Names extends FieldNames>(
  file: { readonly name: string; readonly heading: readonly string[] },
  names: Names,
  chosen: Chosen,
): Reading<Names> {
  const headings = file.heading.map(plain)
  const taken = new Set<number>()
  const found = new Map<string, number>()
  for (const [field, heading] of chosen) {
    const exact = file.heading.indexOf(heading)
    const at = exact === -1 ? headings.indexOf(plain(heading)) : exact
    if (at === -1) {
      throw new AuditInputError(`${file.name} has no column "${heading}". ${listed(file.heading)}`)
    }
    found.set(field, at)
    taken.add(at)
  }
  for (const [field, candidates] of Object.entries(names)) {
    if (found.has(field)) continue
    const at = candidates
      .map((name) => headings.findIndex((one, index) => one === plain(name) && !taken.has(index)))
      .find((index) => index !== -1)
    if (at === undefined) continue
    found.set(field, at)
    taken.add(at)
  }
  const columns = mapFields(names, (field) => found.get(field) ?? null)
  const used = [...found].map(([field, at]) => ({ field, column: file.heading[at] ?? '' }))
  return { columns, used, unused: file.heading.filter((_, at) => !taken.has(at)) }
}

function mapFields<Names extends FieldNames>(
  names: Names,
  value: (field: string) => number | null,
): Columns<Names> {
  const columns: Partial<Record<keyof Names, number | null>> = {}
  for (const field in names) columns[field] = value(field)
  return isWhole(columns, names) ? columns : fail()
}

const fail = (): never => {
  throw new Error('unreachable: every field was given a value')
}

const isWhole = <Names extends FieldNames>(
  columns: Partial<Record<keyof Names, number | null>>,
  names: Names,
): columns is Record<keyof Names, number | null> => Object.keys(names).every((f) => f in columns)

const listed = (heading: readonly string[]): string => `It has: ${heading.join(', ')}.`

/** Throws AuditInputError unless one of each group of fields was found. */
export function requireFields(
  file: { readonly name: string; readonly heading: readonly string[] },
  side: string,
  columns: Readonly<Record<string, number | null>>,
  groups: readonly (readonly string[])[],
): void {
  for (const group of groups) {
    if (group.some((field) => columns[field] !== null)) continue
    const [first = ''] = group
    const what = group.join(' or ')
    throw new AuditInputError(
      `${file.name}: no column for ${what}. ${listed(file.heading)} ` +
        `Name it with --map ${side}.${first}=<column>.`,
    )
  }
}

const SIDES: Readonly<Record<string, FieldNames>> = {
  stripe: STRIPE_FIELDS,
  app: APP_FIELDS,
  notes: NOTE_FIELDS,
}

export type Maps = Readonly<Record<'stripe' | 'app' | 'notes', Chosen>>

/** Reads `--map side.field=column`. Throws AuditInputError. */
export function readMaps(texts: readonly string[]): Maps {
  const maps = {
    stripe: new Map<string, string>(),
    app: new Map<string, string>(),
    notes: new Map<string, string>(),
  }
  for (const text of texts) {
    const [, side = '', field = '', column = ''] =
      /^\s*(stripe|app|notes)\.(\w+)=(.+)$/.exec(text) ?? []
    const known = SIDES[side]
    const map = side === 'stripe' || side === 'app' || side === 'notes' ? maps[side] : null
    if (known === undefined || map === null) {
      throw new AuditInputError(
        `--map ${text}: write side.field=column, like --map app.customer="Billing ID"; ` +
          'sides are stripe, app and notes',
      )
    }
    if (!(field in known)) {
      const fields = Object.keys(known).join(', ')
      throw new AuditInputError(`--map ${text}: fields of ${side} are ${fields}`)
    }
    map.set(field, column.trim())
  }
  return maps
}
