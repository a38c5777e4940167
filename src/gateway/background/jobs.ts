import { z } from 'zod'
import { parseDraft, receiptText } from '../../credits/receipt-text.ts'
import { BACKGROUND_CLAIM_MS } from '../../kernel/limits/background.ts'
import { micros } from '../../kernel/money.ts'
import { keptPriceSchema } from '../../pricing/kept.ts'
import type { Db } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import type { StoredIds } from '../stored/stored-ids.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'insert-job',
  'claim-jobs',
  'delay-job',
  'remove-job',
  'hurry-job',
])

/** What the rest of a receipt follows from, once the response has ended. */
const termsSchema = z.object({
  upstream: z.string(),
  model: z.string(),
  serviceTier: z.string().nullable(),
  markup: z.string().nullable(),
  /** What it was when the response was begun; null = noted by an older release: the books say. */
  price: keptPriceSchema.nullable().default(null),
  /** For an estimate, should nobody ever tell. */
  inputTokens: z.number(),
  outputTokensMax: z.number(),
  progressMicros: z.number().transform(micros),
  /** The first answer, for duplicates of an idempotent request. */
  answer: z
    .object({
      idempotencyKey: z.string(),
      status: z.number(),
      headers: z.record(z.string(), z.string()),
      body: z.string(),
    })
    .nullable(),
})
export type JobTerms = z.infer<typeof termsSchema>

const jobRow = z
  .object({
    hold_id: z.string(),
    account_id: z.string(),
    response_id: z.string(),
    micros: z.number().transform(micros),
    day: z.number(),
    reserved_at: z.number(),
    draft: z.unknown().transform(parseDraft),
    job: termsSchema,
    created_at: z.number(),
  })
  .transform((row) => ({
    holdId: row.hold_id,
    accountId: row.account_id,
    responseId: row.response_id,
    micros: row.micros,
    day: row.day,
    reservedAtMs: row.reserved_at,
    draft: row.draft,
    terms: row.job,
    createdAtMs: row.created_at,
  }))

/** A response that its provider makes in the background. Times in Unix ms. */
export type Job = z.infer<typeof jobRow>

/** Responses that are polled to their end, by any process. */
export interface Jobs {
  /** Together with whose the response is, so that its client can ask for it. */
  insert(job: Job, dueAtMs: number): Promise<void>
  claim(nowMs: number, room: number): Promise<Job[]>
  delay(holdId: string, dueAtMs: number): Promise<void>
  remove(holdId: string): Promise<void>
  /** Polls it soon; false = it is not under way. */
  hurry(accountId: string, responseId: string, nowMs: number): Promise<boolean>
}

export function makeJobs({ db, stored }: { db: Db; stored: StoredIds }): Jobs {
  return {
    async insert(job, dueAtMs) {
      const { holdId, accountId, responseId, draft, terms } = job
      const texts = [receiptText(draft), JSON.stringify(terms)]
      const held = [job.micros, job.day, new Date(job.reservedAtMs)]
      const times = [new Date(dueAtMs), new Date(job.createdAtMs)]
      const params = [holdId, accountId, responseId, ...held, ...texts, ...times]
      const ids = stored.statements([{ ...draft, storedIds: [responseId] }], job.createdAtMs)
      await db.tx(async (tx) => {
        await tx.query(sql['insert-job'], params)
        for (const statement of ids) await tx.query(statement.sql, statement.params)
      })
    },
    async claim(nowMs, room) {
      const until = new Date(nowMs + BACKGROUND_CLAIM_MS)
      const rows = await db.query(sql['claim-jobs'], [new Date(nowMs), room, until])
      return rows.map((row) => jobRow.parse(row))
    },
    async delay(holdId, dueAtMs) {
      await db.query(sql['delay-job'], [holdId, new Date(dueAtMs)])
    },
    async remove(holdId) {
      await db.query(sql['remove-job'], [holdId])
    },
    async hurry(accountId, responseId, nowMs) {
      const params = [accountId, responseId, new Date(nowMs)]
      return (await db.query(sql['hurry-job'], params)).length > 0
    },
  }
}
