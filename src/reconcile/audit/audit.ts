import { readApp } from './app-side.ts'
import type { FieldChoice, Maps } from './columns.ts'
import { openCsv, type CsvFile } from './csv.ts'
import { AUDIT_KINDS, judge, type AuditFinding, type AuditKind } from './judge.ts'
import { NO_NOTES, readNotes } from './notes.ts'
import type { Money } from './standing.ts'
import { readStripe, type AmountReading } from './stripe-side.ts'
import { makeOddities } from './tally.ts'
import type { Words } from './values.ts'

export interface AuditInput {
  readonly stripePath: string
  readonly appPath: string
  readonly notesPath: string | null
  readonly maps: Maps
  readonly words: Words
  /** The moment that both exports are of. */
  readonly nowMs: number
  readonly graceDays: number
}

/** How a file was understood. */
export interface FileReading {
  readonly name: string
  readonly separator: string
  /** How its amounts were read; null = it has none. */
  readonly amounts: AmountReading | null
  readonly rows: number
  readonly used: readonly FieldChoice[]
  readonly unused: readonly string[]
}

export interface KindCount {
  readonly kind: AuditKind
  readonly urgent: number
  readonly review: number
  /** Explained by a note. */
  readonly explained: number
  /** Σ at stake of those not explained, one for each currency and interval. */
  readonly atStake: readonly Money[]
}

export interface Audit {
  readonly stripe: FileReading & { readonly subscriptions: number; readonly customers: number }
  readonly app: FileReading & { readonly accounts: number; readonly linked: number }
  readonly notes: number
  readonly oddities: readonly string[]
  readonly counts: readonly KindCount[]
  readonly urgent: number
  readonly open: number
  /** Urgent ones first; those explained are left out. Not kept: made anew for who asks. */
  findings(): Generator<AuditFinding>
}

function add(sums: Map<string, Money>, money: Money | null): void {
  if (money === null) return
  const key = `${money.currency}/${money.interval}`
  const micros = (sums.get(key)?.micros ?? 0) + money.micros
  sums.set(key, { ...money, micros })
}

function count(findings: Iterable<AuditFinding>): KindCount[] {
  const tallies = new Map(
    AUDIT_KINDS.map((kind) => [
      kind,
      { urgent: 0, review: 0, explained: 0, sums: new Map<string, Money>() },
    ]),
  )
  for (const { kind, severity, explained, atStake } of findings) {
    const tally = tallies.get(kind)
    if (tally === undefined) continue
    tally[explained === null ? severity : 'explained'] += 1
    if (explained === null) add(tally.sums, atStake)
  }
  return [...tallies].map(([kind, { sums, ...counts }]) => ({
    kind,
    ...counts,
    atStake: [...sums.values()],
  }))
}

const fileOf = (
  file: CsvFile,
  side: {
    readonly rows: number
    readonly amounts?: AmountReading | null
    readonly reading: Pick<FileReading, 'used' | 'unused'>
  },
): FileReading => {
  const { used, unused } = side.reading
  const { rows, amounts = null } = side
  return { name: file.name, separator: file.separator, amounts, rows, used, unused }
}

/**
 * Compares Stripe's export with a program's own list of accounts. Reads files, nothing else: no
 * network, no key, no store. Throws AuditInputError. Source: design §7.
 */
export async function audit(input: AuditInput): Promise<Audit> {
  const { maps, words, nowMs } = input
  const oddities = makeOddities()
  const notes =
    input.notesPath === null
      ? NO_NOTES
      : await readNotes(await openCsv(input.notesPath), maps.notes)
  const stripeFile = await openCsv(input.stripePath)
  const stripe = await readStripe(stripeFile, maps.stripe, oddities)
  const appFile = await openCsv(input.appPath)
  const app = await readApp(appFile, maps.app, oddities, { stripe, words, nowMs })
  const deps = { stripe, app, notes, nowMs, graceMs: input.graceDays * 86_400_000 }
  const counts = count(judge(deps))
  const sum = (of: (one: KindCount) => number): number =>
    counts.reduce((total, one) => total + of(one), 0)
  const sizes = { subscriptions: stripe.subscriptions, customers: stripe.customers }
  const linked = app.accounts - app.loose.size
  return {
    stripe: { ...fileOf(stripeFile, stripe), ...sizes },
    app: { ...fileOf(appFile, app), accounts: app.accounts, linked },
    notes: notes.count,
    oddities: oddities.lines(),
    counts,
    urgent: sum(({ urgent }) => urgent),
    open: sum(({ urgent, review }) => urgent + review),
    *findings() {
      for (const severity of ['urgent', 'review'] as const) {
        for (const finding of judge(deps)) {
          if (finding.explained === null && finding.severity === severity) yield finding
        }
      }
    },
  }
}
