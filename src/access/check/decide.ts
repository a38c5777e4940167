import type { Micros } from '../../kernel/money.ts'
import { matchesAny } from '../../kernel/glob.ts'
import type { Entitlements } from '../plans/resolve.ts'

/** Why access is given or not. An open set: a caller must take one it does not know for a no. */
export const REASONS = [
  'ok',
  'unknown_subject',
  'frozen',
  'suspended',
  'payment_pending',
  'no_plan',
  'feature_not_in_plan',
  'model_not_allowed',
  'insufficient_credits',
] as const
export type Reason = (typeof REASONS)[number]

export interface Question {
  readonly feature: string | null
  readonly model: string | null
  /** null = it is not asked whether there are enough. */
  readonly creditsMicros: Micros | null
}

export interface AccessFacts {
  readonly status: 'active' | 'frozen' | 'suspended'
  readonly entitlements: Entitlements
  /** Available and how far below zero it may go. */
  readonly spendableMicros: Micros
  /** A purchase was made and its payment has not come through yet. */
  readonly isPaymentPending: boolean
}

const isOn = (value: boolean | number | undefined): boolean => value === true || Number(value) > 0

/** The plan is over and there are no credits that outlived it. */
const isLapsed = ({ state, planId, subscriptionId }: Entitlements, spendable: Micros): boolean =>
  planId === null && subscriptionId !== null && state !== 'pending' && spendable <= 0

/** What a purchase could cure; null = nothing is missing. */
function missing(question: Question, { entitlements, spendableMicros }: AccessFacts) {
  const { feature, model, creditsMicros } = question
  const { blocked, planId, features, models } = entitlements
  if (blocked === 'no_plan' || isLapsed(entitlements, spendableMicros)) return 'no_plan'
  if (feature !== null) {
    const value = Object.hasOwn(features, feature) ? features[feature] : undefined
    if (!isOn(value)) return planId === null ? 'no_plan' : 'feature_not_in_plan'
  }
  if (model !== null && !matchesAny(models, model)) return 'model_not_allowed'
  if (creditsMicros !== null && spendableMicros < creditsMicros) return 'insufficient_credits'
  return null
}

/**
 * Whether an account may do something, and why. A payment that is under way allows nothing: it only
 * says why it is not allowed yet. Source: design §7.
 */
export function decideAccess(question: Question, facts: AccessFacts): Reason {
  if (facts.status === 'frozen') return 'frozen'
  if (facts.status === 'suspended' || facts.entitlements.blocked === 'suspended') return 'suspended'
  const why = missing(question, facts)
  if (why === null) return 'ok'
  return facts.isPaymentPending ? 'payment_pending' : why
}
