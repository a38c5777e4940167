import { refuse, type Refusal } from '../kernel/errors.ts'
import { matchesAny } from '../kernel/glob.ts'
import type { Caller } from './access.ts'

/** Key and plan have each a list: what both allow may be used. Source: design §7 (I10). */
export const allowsModel = (caller: Caller, model: string): boolean =>
  matchesAny(caller.models, model) && matchesAny(caller.planModels, model)

export const allowsEndpoint = (caller: Caller, endpoint: string): boolean =>
  matchesAny(caller.endpoints, endpoint) && matchesAny(caller.planEndpoints, endpoint)

/** Whose list says no, in words. */
export const refuseEndpoint = (caller: Caller, endpoint: string): Refusal =>
  matchesAny(caller.endpoints, endpoint)
    ? refuse('model_not_allowed', `This account's plan does not include ${endpoint}.`)
    : refuse('model_not_allowed', `This key may not call ${endpoint}.`)

export const refuseModel = (caller: Caller, model: string): Refusal =>
  matchesAny(caller.models, model)
    ? refuse('model_not_allowed', `This account's plan does not include the model '${model}'.`)
    : refuse('model_not_allowed', `This key may not use the model '${model}'.`)
