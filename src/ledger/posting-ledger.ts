import { IDEMPOTENT_ANSWER_BYTES_MAX, IDEMPOTENT_ANSWER_MS } from '../kernel/limits.ts'
import type { Ids } from '../kernel/ids.ts'
import { toText } from '../kernel/text.ts'
import type { Db, Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { PostingLedger } from './ledger.ts'
import { planPosting, type Posting, type PostingPlan } from './plan.ts'
import { readBatch } from './read-batch.ts'
import type { PostItem } from './receipt.ts'
import type { Sheet } from './sheet.ts'
import { sheetStatements, type Statement } from './sheets.ts'
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
}

/** Posting on Postgres: two round trips a batch, whatever its size. Source: design §5. */
export function makePostingLedger(options: PostingLedgerOptions): PostingLedger {
  const { db, ids } = options
  const alongside = options.alongside ?? (() => [])

  async function postIn(tx: Tx, items: readonly PostItem[], nowMs: number): Promise<PostingPlan> {
    const input = await readBatch(tx, items, { nowMs, newId: () => ids.uuid() })
    const plan = planPosting(input)
    // Not waited for: they travel together with the COMMIT.
    for (const { sql, params } of statementsOf(plan, input.sheets, nowMs))
      void tx.query(sql, params)
    return plan
  }

  function statementsOf(
    plan: PostingPlan,
    sheets: ReadonlyMap<string, Sheet>,
    nowMs: number,
  ): Statement[] {
    if (plan.postings.length === 0) return []
    const touched = new Set(plan.postings.map(({ receipt }) => receipt.accountId))
    const changed = [...sheets.values()].filter(({ account }) => touched.has(account.id))
    const posted = plan.postings.map((posting) => withAccount(posting, sheets))
    return [
      ...sheetStatements(changed, plan.postings, nowMs),
      ...alongside(posted, nowMs),
      ...answerStatements(plan, nowMs),
    ]
  }

  return {
    ...makeSnapshots(db),
    async post(items, nowMs) {
      if (items.length === 0) return []
      const plan = await db.tx((tx) => postIn(tx, items, nowMs))
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
