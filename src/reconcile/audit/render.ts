import { AUDIT_TABLE_ROWS_MAX } from '../../kernel/limits/books.ts'
import type { Audit, FileReading } from './audit.ts'
import { csvLine } from './csv-line.ts'
import type { AuditFinding } from './judge.ts'
import type { Money } from './standing.ts'
import type { AmountReading } from './stripe-side.ts'
import { amountText } from './values.ts'

/** "20.00 usd/month". */
function moneyText(money: Money | null): string {
  if (money === null) return ''
  const per = money.interval === '' ? '' : `/${money.interval}`
  return `${amountText(money.micros)}${money.currency === '' ? '' : ` ${money.currency}`}${per}`
}

const SEPARATOR_NAMES: Readonly<Record<string, string>> = { '\t': 'tab', ',': 'comma' }

/** How amounts were read, with what shows it. */
function amountsText({ decimal, sure }: AmountReading): string {
  const mark = decimal === ',' ? 'comma: 1.000 is a thousand' : 'point: 1.000 is one'
  const why = sure === null ? 'as files parted like this are written' : `as "${sure}" shows`
  return `amounts with a decimal ${mark} (${why})`
}

function readingLines(side: string, file: FileReading, counts: string): string[] {
  const separator = SEPARATOR_NAMES[file.separator] ?? `"${file.separator}"`
  const used = file.used.map(({ field, column }) => `${field} = "${column}"`).join(', ')
  const unused = file.unused.length === 0 ? '' : `\n  not read: ${file.unused.join(', ')}`
  const amounts = file.amounts === null ? [] : [`  ${amountsText(file.amounts)}`]
  return [
    `${side}: ${file.name}, ${file.rows} rows (${separator}), ${counts}`,
    `  ${used}${unused}`,
    ...amounts,
  ]
}

/** What was read, and as what: for the reader to confirm. */
export function readingText(audit: Audit): string {
  const { stripe, app } = audit
  const ofStripe = `${stripe.subscriptions} subscriptions, ${stripe.customers} customers`
  const ofApp = `${app.accounts} accounts, ${app.linked} with a customer`
  const odd = audit.oddities.map((line) => `  note: ${line}`)
  return [
    ...readingLines('stripe', stripe, ofStripe),
    ...readingLines('app', app, ofApp),
    ...(audit.notes === 0 ? [] : [`notes: ${audit.notes} exceptions`]),
    ...odd,
    '  Wrong column? Say --map side.field="Column", like --map app.customer="Billing ID".',
  ].join('\n')
}

/** One line a kind. */
export function countRows(audit: Audit): (string | number)[][] {
  return audit.counts
    .filter(({ urgent, review, explained }) => urgent + review + explained > 0)
    .map((one) => [
      ...[one.kind, one.urgent, one.review, one.explained],
      one.atStake.map(moneyText).join(' + '),
    ])
}

export const COUNT_HEADINGS = ['KIND', 'URGENT', 'REVIEW', 'EXPLAINED', 'AT STAKE']
export const FINDING_HEADINGS = [
  ...['SEVERITY', 'KIND', 'ACCOUNT', 'CUSTOMER', 'E-MAIL', 'SUBSCRIPTION', 'AT STAKE', 'DETAIL'],
]

/** The first findings for a terminal. */
export function findingRows(audit: Audit): string[][] {
  const rows: string[][] = []
  for (const one of audit.findings()) {
    if (rows.length === AUDIT_TABLE_ROWS_MAX) break
    rows.push([
      ...[one.severity, one.kind, one.account, one.customer, one.email, one.subscription],
      ...[moneyText(one.atStake), one.detail],
    ])
  }
  return rows
}

const CSV_COLUMNS = [
  ...['severity', 'kind', 'direction', 'account', 'customer', 'email', 'subscription'],
  ...['at_stake', 'currency', 'interval', 'detail'],
]

export function* csvLines(audit: Audit): Generator<string> {
  yield csvLine(CSV_COLUMNS)
  for (const one of audit.findings()) {
    const { micros, currency = '', interval = '' } = one.atStake ?? {}
    yield csvLine([
      ...[one.severity, one.kind, one.direction ?? '', one.account, one.customer, one.email],
      ...[one.subscription, micros === undefined ? '' : amountText(micros)],
      ...[currency, interval, one.detail],
    ])
  }
}

const moneyJson = ({ micros, currency, interval }: Money) => ({
  amount: amountText(micros),
  currency,
  interval,
})

const findingJson = (one: AuditFinding): object => ({
  severity: one.severity,
  kind: one.kind,
  direction: one.direction,
  account: one.account,
  customer: one.customer,
  email: one.email,
  subscription: one.subscription,
  at_stake: one.atStake === null ? null : moneyJson(one.atStake),
  detail: one.detail,
})

const fileJson = ({ used, ...file }: FileReading): object => ({
  ...file,
  used: Object.fromEntries(used.map(({ field, column }) => [field, column])),
})

/** One JSON document, in pieces: it may be larger than a string should be. */
export function* jsonPieces(audit: Audit, nowMs: number): Generator<string> {
  const head = {
    as_of: new Date(nowMs).toISOString(),
    stripe: fileJson(audit.stripe),
    app: fileJson(audit.app),
    notes: audit.notes,
    oddities: audit.oddities,
    urgent: audit.urgent,
    open: audit.open,
    counts: audit.counts.map(({ atStake, ...one }) => ({
      ...one,
      at_stake: atStake.map(moneyJson),
    })),
  }
  yield `${JSON.stringify(head, null, 2).replace(/\n}$/, '')},\n  "findings": [`
  let separator = '\n    '
  for (const finding of audit.findings()) {
    yield `${separator}${JSON.stringify(findingJson(finding))}`
    separator = ',\n    '
  }
  yield '\n  ]\n}'
}
