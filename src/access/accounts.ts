import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Micros } from '../kernel/money.ts'
import type { Db, Param, Tx } from '../store/db.ts'
import { sqlState } from '../store/errors.ts'
import { loadSql } from '../store/sql.ts'
import { writeAudit } from './audit.ts'
import type { Entitle } from './plans/entitle.ts'
import { accountRow, type Account } from './rows.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'create-account',
  'find-account',
  'list-accounts',
  'lock-account',
  'change-account',
])

export interface CreateAccount {
  /** null = `acct_…` is made up. */
  readonly id: string | null
  readonly subjectRef: string | null
  readonly name: string
  readonly email: string | null
  readonly stripeCustomerId: string | null
  readonly creditLimitMicros: Micros
  readonly overageLimitMicros: Micros
  readonly markup: string | null
  readonly actor: string
}

/** Fields that are left out stay as they are. */
export interface AccountChange {
  readonly name?: string | undefined
  readonly email?: string | null | undefined
  readonly subjectRef?: string | null | undefined
  readonly stripeCustomerId?: string | null | undefined
  readonly status?: Account['status'] | undefined
  readonly statusReason?: string | null | undefined
  readonly creditLimitMicros?: Micros | undefined
  readonly overageLimitMicros?: Micros | undefined
  /** Decimal factor over cost, "1.2". */
  readonly markup?: string | null | undefined
}

/** A name that belongs to another account. */
export interface TakenName {
  readonly ok: false
  readonly taken: 'id' | 'subject_ref' | 'stripe_customer_id'
}

export type AccountCreation = { readonly account: Account; readonly created: boolean } | TakenName

/** Written in the transaction that makes an account, where it is new. */
export type AlsoWrite = (tx: Tx, accountId: string, nowMs: number) => Promise<void>

/**
 * Who pays. Nothing here moves money; `change_seq` rises with every change, and its caller loads
 * the account into the credit engine. Source: design §1, §4.
 */
export interface Accounts {
  /** The same id, subject_ref or Stripe customer again gives the same account, as it is now. */
  create(input: CreateAccount, also?: AlsoWrite): Promise<AccountCreation>
  read(id: string): Promise<Account | null>
  bySubject(subjectRef: string): Promise<Account | null>
  /** In order of ids; `cursor` = the last id seen. */
  list(cursor: string | null, limit: number): Promise<readonly Account[]>
  /** null = no such account. */
  change(id: string, change: AccountChange, actor: string): Promise<Account | TakenName | null>
}

/** Exactly one account must carry all the names that were given, and no other one any of them. */
function settleNames(found: readonly Account[], input: CreateAccount): AccountCreation | null {
  const [account] = found
  if (account === undefined) return null
  const names = [
    ['id', input.id, account.id],
    ['subject_ref', input.subjectRef, account.subjectRef],
    ['stripe_customer_id', input.stripeCustomerId, account.stripeCustomerId],
  ] as const
  for (const [taken, asked, has] of names) {
    if (asked !== null && asked !== has) return { ok: false, taken }
  }
  return { account, created: false }
}

const UNIQUE_VIOLATION = '23505'

/** Which name a unique index refused. */
function takenName(error: unknown): TakenName | null {
  if (sqlState(error) !== UNIQUE_VIOLATION) return null
  const text = error instanceof Error ? error.message : ''
  return { ok: false, taken: text.includes('stripe') ? 'stripe_customer_id' : 'subject_ref' }
}

function changed(account: Account, change: AccountChange, nowMs: number): Param[] {
  const next = { ...account, ...definedOf(change) }
  const status = next.status
  const reason = change.statusReason ?? (status === account.status ? account.statusReason : null)
  return [
    account.id,
    next.name,
    next.email,
    status,
    reason,
    next.creditLimitMicros,
    next.overageLimitMicros,
    next.markup,
    next.stripeCustomerId,
    next.subjectRef,
    new Date(nowMs),
  ]
}

function definedOf(change: AccountChange): Partial<Account> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
}

export interface AccountsDeps {
  readonly db: Db
  readonly clock: Clock
  readonly ids: Ids
  /** What a new account may do follows in the same transaction; absent = nothing does. */
  readonly entitle?: Entitle['entitle']
}

/** Adds an account and its line in the audit log; null where one of its names is taken. */
function makeInsert({ clock, ids, entitle }: Omit<AccountsDeps, 'db'>) {
  return async (
    tx: Tx,
    input: CreateAccount,
    also: AlsoWrite | undefined,
  ): Promise<Account | null> => {
    const nowMs = clock.now()
    const id = input.id ?? `acct_${ids.uuid().replaceAll('-', '')}`
    const { subjectRef, name, email, stripeCustomerId, creditLimitMicros } = input
    const [row] = await tx.query(sql['create-account'], [
      ...[id, subjectRef, name, email, stripeCustomerId, creditLimitMicros, new Date(nowMs)],
      ...[input.overageLimitMicros, input.markup],
    ])
    if (row === undefined) return null
    const { actor, ...detail } = input
    await writeAudit(tx, ids, { actor, action: 'account.create', subject: id, detail }, nowMs)
    await also?.(tx, id, nowMs)
    await entitle?.(tx, id, nowMs)
    return accountRow.parse(row)
  }
}

export function makeAccounts(deps: AccountsDeps): Accounts {
  const { db, clock, ids } = deps

  async function find(tx: Tx, names: readonly (string | null)[]): Promise<Account[]> {
    const rows = await tx.query(sql['find-account'], names)
    return rows.map((row) => accountRow.parse(row))
  }

  const insert = makeInsert(deps)

  return {
    async create(input, also) {
      const account = await db.tx((tx) => insert(tx, input, also))
      if (account !== null) return { account, created: true }
      // A name is taken, and accounts are never removed: this read sees whose it is.
      const found = await find(db, [input.id, input.subjectRef, input.stripeCustomerId])
      return settleNames(found, input) ?? { ok: false, taken: 'id' }
    },
    async read(id) {
      return (await find(db, [id, null, null]))[0] ?? null
    },
    async bySubject(subjectRef) {
      return (await find(db, [null, subjectRef, null]))[0] ?? null
    },
    async list(cursor, limit) {
      const rows = await db.query(sql['list-accounts'], [cursor ?? '', limit])
      return rows.map((row) => accountRow.parse(row))
    },
    async change(id, change, actor) {
      try {
        return await db.tx(async (tx) => {
          const [locked] = await tx.query(sql['lock-account'], [id])
          if (locked === undefined) return null
          const nowMs = clock.now()
          const params = changed(accountRow.parse(locked), change, nowMs)
          const [row] = await tx.query(sql['change-account'], params)
          const detail = definedOf(change)
          await writeAudit(tx, ids, { actor, action: 'account.change', subject: id, detail }, nowMs)
          return accountRow.parse(row)
        })
      } catch (error) {
        const taken = takenName(error)
        if (taken === null) throw error
        return taken
      }
    },
  }
}
