import { z } from 'zod'
import type { AccountCreation, TakenName } from '../../access/accounts.ts'
import type { Account } from '../../access/rows.ts'
import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import { viewCredits, ZERO } from '../../kernel/money.ts'
import { digitsOf } from '../../kernel/request-ids.ts'
import { markupSchema } from '../../pricing/config.ts'
import { noAccount, reloadQuietly, type AdminDeps, type Operator } from '../context.ts'
import { balanceView, isoOrNull, readBalance, viewBalance } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'

const { amountView, limit, page, pageLimit, pageOf, reference, subjectRef, text } = fields

const accountView = z.object({
  id: z.string(),
  subject_ref: z.string().nullable(),
  name: z.string(),
  email: z.string().nullable(),
  stripe_customer_id: z.string().nullable(),
  status: z.enum(['active', 'frozen', 'suspended']),
  reason: z.string().nullable(),
  markup: z.string().nullable(),
  credit_limit: amountView,
  overage_limit: amountView,
  created_at: z.string().nullable(),
  changed_at: z.string().nullable(),
})
const accountWithBalance = accountView.extend({ balance: balanceView })
const listedAccount = accountView.extend({
  balance: z.object({ posted: amountView, debt: amountView, overage: amountView }),
})

const viewAccount = (account: Account): z.infer<typeof accountView> => ({
  id: account.id,
  subject_ref: account.subjectRef,
  name: account.name,
  email: account.email,
  stripe_customer_id: account.stripeCustomerId,
  status: account.status,
  reason: account.statusReason,
  markup: account.markup,
  credit_limit: viewCredits(account.creditLimitMicros),
  overage_limit: viewCredits(account.overageLimitMicros),
  created_at: isoOrNull(account.createdAtMs),
  changed_at: isoOrNull(account.changedAtMs),
})

const viewListed = (account: Account): z.infer<typeof listedAccount> => ({
  ...viewAccount(account),
  balance: {
    posted: viewCredits(account.postedMicros),
    debt: viewCredits(account.debtMicros),
    overage: viewCredits(account.overageMicros),
  },
})

const createBody = z.strictObject({
  id: fields.accountId.optional(),
  subject_ref: subjectRef.optional(),
  name: text,
  email: z.email().max(320).nullish(),
  stripe_customer_id: reference.optional(),
  credit_limit: limit.optional(),
  overage_limit: limit.optional(),
  markup: markupSchema.nullish(),
})

const changeBody = z
  .strictObject({
    name: text.optional(),
    email: z.email().max(320).nullish(),
    subject_ref: subjectRef.nullish(),
    stripe_customer_id: reference.nullish(),
    status: z.enum(['active', 'frozen']).optional(),
    reason: text.nullish(),
    credit_limit: limit.optional(),
    overage_limit: limit.optional(),
    markup: markupSchema.nullish(),
  })
  .refine((body) => Object.keys(body).length > 0, { error: 'name what is to change' })

const taken = ({ taken: name }: TakenName): Refusal =>
  refuse('conflict', `${name} belongs to another account. Nothing was changed.`)

async function withBalance(deps: AdminDeps, account: Account) {
  const balance = await readBalance(deps, account.id)
  if (balance === null) throw new Error(`account ${account.id} has no balance`)
  return { ...viewAccount(account), balance: viewBalance(balance) }
}

/** The same request names the same account, where the body names none. */
const idOf = (key: string, body: z.output<typeof createBody>): string =>
  `acct_${digitsOf(['account'], key, body).slice(0, 32)}`

function createAccount(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'POST',
    path: '/accounts',
    summary: 'Create an account; the same id or subject_ref again answers the same account.',
    params: nothing,
    query: nothing,
    body: createBody,
    answer: accountWithBalance,
    async run({ body, idempotencyKey, who }) {
      const isNamed = body.id !== undefined || body.subject_ref !== undefined
      const made: AccountCreation = await deps.accounts.create({
        id: body.id ?? (isNamed || idempotencyKey === null ? null : idOf(idempotencyKey, body)),
        subjectRef: body.subject_ref ?? null,
        name: body.name,
        email: body.email ?? null,
        stripeCustomerId: body.stripe_customer_id ?? null,
        creditLimitMicros: body.credit_limit ?? ZERO,
        overageLimitMicros: body.overage_limit ?? ZERO,
        markup: body.markup ?? null,
        actor: who.actor,
      })
      if (!('account' in made)) return taken(made)
      return { status: made.created ? 201 : 200, body: await withBalance(deps, made.account) }
    },
  })
}

const listQuery = z.strictObject({
  cursor: fields.accountId.optional(),
  limit: pageLimit,
  subject_ref: reference.optional(),
})

function listAccounts(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'GET',
    path: '/accounts',
    summary: 'Accounts in order of their ids; with subject_ref the one that carries it.',
    params: nothing,
    query: listQuery,
    body: nothing,
    answer: pageOf(listedAccount),
    async run({ query }) {
      if (query.subject_ref !== undefined) {
        const account = await deps.accounts.bySubject(query.subject_ref)
        const data = account === null ? [] : [viewListed(account)]
        return { status: 200, body: { data, next_cursor: null } }
      }
      const rows = await deps.accounts.list(query.cursor ?? null, query.limit + 1)
      return { status: 200, body: page(rows, query.limit, viewListed, (account) => account.id) }
    },
  })
}

function readAccount(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'GET',
    path: '/accounts/:id',
    summary: 'One account with its balance.',
    params: fields.idParams,
    query: nothing,
    body: nothing,
    answer: accountWithBalance,
    async run({ params }) {
      const account = await deps.accounts.read(params.id)
      if (account === null) return noAccount(params.id)
      return { status: 200, body: await withBalance(deps, account) }
    },
  })
}

function changeAccount(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'PATCH',
    path: '/accounts/:id',
    summary: 'Change an account: freeze it, its limits, its markup, its names.',
    params: fields.idParams,
    query: nothing,
    body: changeBody,
    answer: accountWithBalance,
    async run({ params, body, who }) {
      const change = {
        name: body.name,
        email: body.email,
        subjectRef: body.subject_ref,
        stripeCustomerId: body.stripe_customer_id,
        status: body.status,
        statusReason: body.reason,
        creditLimitMicros: body.credit_limit,
        overageLimitMicros: body.overage_limit,
        markup: body.markup,
      }
      const account = await deps.accounts.change(params.id, change, who.actor)
      if (account === null) return noAccount(params.id)
      if (isRefusal(account)) return taken(account)
      await reloadQuietly(deps, account.id)
      return { status: 200, body: await withBalance(deps, account) }
    },
  })
}

export const accountRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  createAccount(deps),
  listAccounts(deps),
  readAccount(deps),
  changeAccount(deps),
]
