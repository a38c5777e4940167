import { IDEMPOTENT_ANSWER_BYTES_MAX, IDEMPOTENT_ANSWER_MS } from '../kernel/limits/idempotency.ts'
import type { Ids } from '../kernel/ids.ts'
import { toText } from '../kernel/text.ts'
import type { Db, Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { PostingLedger } from './ledger.ts'
import { makeKeptSheets, type KeptSheets, type OpenSheets } from './kept.ts'
import { planPosting, type Posting, type PostingPlan } from './plan.ts'
import { earliestReserves, readBatch } from './read-batch.ts'
import type { PostItem } from './receipt.ts'
import type { Sheet } from './sheet.ts'
import { mustBeWritten, sendSheets, type SheetContext, type Statement } from './sheets.ts'
import { makeSnapshots } from './snapshots.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['store-answers', 'park-receipt'])

/** A posting, for those who write beside it: its account as it is after the whole batch. */
export interface Posted extends Posting {
  readonly account: Sheet['account']
}

export interface PostingLedgerOptions {
  readonly db: Db
  readonly ids: Ids
  /**
   * What others write in the transaction that posts, such as rows of an outbox. Pure; called once
   * a try, so its statements must be harmless to repeat after a rollback. Source: design §11.
   */
  readonly alongside?: (postings: readonly Posted[], nowMs: number) => readonly Statement[]
  /** Told of what was committed. A commit of unknown outcome that happened is not told. */
  readonly posted?: (postings: readonly Posting[]) => void
  /** Batches that are read after what was kept had changed, at most. Default KEPT_PAUSE_MAX. */
  readonly pauseMax?: number
}

/** What posts a batch needs besides it. */
interface Posts {
  readonly db: Db
  readonly kept: KeptSheets
  readonly besideOf: (plan: PostingPlan, sheets: OpenSheets['sheets']) => readonly Statement[]
}

const NOTHING = new Map<string, never>()

/** From what is kept, in the hope that it is still so. null = it was not, and nothing happened. */
async function postKept(
  { db, kept, besideOf }: Posts,
  items: readonly PostItem[],
  context: SheetContext,
): Promise<PostingPlan | null> {
  const open = kept.take(earliestReserves(items), context)
  if (open === null) return null
  const sheets = [...open.sheets.values()]
  const plan = planPosting({ items, sheets: open.sheets, posted: NOTHING, traces: NOTHING })
  // A new lot would stay where the guess is wrong. Only corrections make one, and those are read.
  if (sheets.some(({ newLots }) => newLots.length > 0)) return null
  const { postings } = plan
  const unposted = postings.map(({ receipt }) => receipt.holdId)
  const beside = besideOf(plan, open.sheets)
  const write = (tx: Tx) => sendSheets(tx, sheets, { postings, unposted }, context.nowMs)
  const writeAll = async (tx: Tx) => {
    const written = await write(tx)
    if (written.length > 0) send(tx, beside)
    return written
  }
  // Alone it is its own transaction, which spares BEGIN, its settings and COMMIT.
  const wasSo = (await (beside.length === 0 ? write(db) : db.tx(writeAll))).length > 0
  kept.judge(wasSo)
  if (!wasSo) return null
  kept.keep(open)
  return plan
}

/** From what is read under locks. */
async function postRead(
  { db, kept, besideOf }: Posts,
  items: readonly PostItem[],
  context: SheetContext,
): Promise<PostingPlan> {
  const { input, plan, written } = await db.tx(async (tx) => {
    const input = await readBatch(tx, items, context)
    const plan = planPosting(input)
    const { postings } = plan
    if (postings.length === 0) return { input, plan, written: null }
    const touched = new Set(postings.map(({ receipt }) => receipt.accountId))
    const changed = [...input.sheets.values()].filter(({ account }) => touched.has(account.id))
    const written = sendSheets(tx, changed, { postings, unposted: [] }, context.nowMs)
    send(tx, besideOf(plan, input.sheets))
    return { input, plan, written }
  })
  if (written !== null) mustBeWritten(await written)
  kept.keep(input)
  return plan
}

/** Not waited for: they travel together with the COMMIT. */
function send(tx: Tx, statements: readonly Statement[]): void {
  for (const { sql, params } of statements) void tx.query(sql, params)
}

/**
 * Posting on Postgres, whatever the batch's size: one round trip where its accounts are as this
 * process left them and nothing is written beside, else two or three. Source: design §5.
 */
export function makePostingLedger(options: PostingLedgerOptions): PostingLedger {
  const { db, ids } = options
  const kept = makeKeptSheets(options.pauseMax)

  function besideAt(nowMs: number): Posts['besideOf'] {
    return (plan, sheets) => {
      const posted = plan.postings.map((posting) => withAccount(posting, sheets))
      const others = options.alongside?.(posted, nowMs) ?? []
      return [...others, ...answerStatements(plan, nowMs)]
    }
  }

  return {
    ...makeSnapshots(db),
    async post(items, nowMs) {
      if (items.length === 0) return []
      const posts = { db, kept, besideOf: besideAt(nowMs) }
      const context = { nowMs, newId: () => ids.uuid() }
      const plan =
        (await postKept(posts, items, context)) ?? (await postRead(posts, items, context))
      options.posted?.(plan.postings)
      return plan.outcomes
    },

    async park(item, reason, nowMs) {
      const { holdId, rev } = item.receipt
      const evidence = toJson({ reason, receipt: item.receipt })
      const subject = toText(`${holdId}:${rev}`)
      await db.query(sql['park-receipt'], [ids.uuid(), subject, evidence, new Date(nowMs)])
      return { holdId, kind: 'parked', version: 0 }
    },
  }
}

function withAccount(posting: Posting, sheets: ReadonlyMap<string, Sheet>): Posted {
  const sheet = sheets.get(posting.receipt.accountId)
  if (sheet === undefined) throw new Error(`no sheet of account ${posting.receipt.accountId}`)
  return { ...posting, account: sheet.account }
}

function answerStatements(plan: PostingPlan, nowMs: number): Statement[] {
  const answers = plan.postings.flatMap(({ receipt, answer }) =>
    answer === null ? [] : [{ receipt, answer }],
  )
  if (answers.length === 0) return []
  const params = [
    answers.map(({ receipt }) => receipt.accountId),
    answers.map(({ answer }) => answer.idempotencyKey),
    answers.map(({ receipt }) => receipt.holdId),
    answers.map(({ answer }) => answer.status),
    answers.map(({ answer }) => JSON.stringify(answer.headers)),
    answers.map(({ answer }) => keptBody(answer.body)),
    new Date(nowMs + IDEMPOTENT_ANSWER_MS),
  ]
  return [{ sql: sql['store-answers'], params }]
}

const keptBody = (body: Uint8Array | null): Uint8Array | null =>
  body === null || body.length > IDEMPOTENT_ANSWER_BYTES_MAX ? null : body

/** A parked row's texts may be what Postgres refused it for. */
const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => (typeof part === 'string' ? toText(part) : part))
