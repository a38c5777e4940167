import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { rechargeBody, rechargeView, saveFrom, viewRecharge } from '../../billing/recharge/http.ts'
import { refuse } from '../../kernel/errors.ts'
import { noAccount, type AdminDeps, type Operator } from '../context.ts'

const OFF = refuse('unsupported', 'Stripe is not set up here: set STRIPE_SECRET_KEY.')

function readRecharge({ stripe, accounts }: AdminDeps): Route<Operator> {
  return route({
    method: 'GET',
    path: '/accounts/:id/recharge',
    summary: 'What an account allows to be bought by itself, and what came of it.',
    params: fields.idParams,
    query: nothing,
    body: nothing,
    answer: rechargeView,
    async run({ params: { id } }) {
      if (stripe === null) return OFF
      if ((await accounts.read(id)) === null) return noAccount(id)
      return { status: 200, body: viewRecharge(id, await stripe.recharges.read(id)) }
    },
  })
}

function saveRecharge({ stripe, accounts }: AdminDeps): Route<Operator> {
  return route({
    method: 'PUT',
    path: '/accounts/:id/recharge',
    summary: 'Turn recharges on, whatever a bank said before, or off.',
    params: fields.idParams,
    query: nothing,
    body: rechargeBody,
    answer: rechargeView,
    async run({ params: { id }, body, who }) {
      if (stripe === null) return OFF
      const account = await accounts.read(id)
      if (account === null) return noAccount(id)
      const asker = { actor: who.actor, isOperator: true }
      const refused = await saveFrom(stripe.recharges, account, body, asker, stripe.returnUrl())
      if (refused !== null) return refused
      return { status: 200, body: viewRecharge(id, await stripe.recharges.read(id)) }
    },
  })
}

export const rechargeRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  readRecharge(deps),
  saveRecharge(deps),
]
