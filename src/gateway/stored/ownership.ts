import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import { describeError } from '../../kernel/log.ts'
import { chooseUpstream } from '../bound.ts'
import type { Arrival, GatewayDeps } from '../context.ts'

const AWAY = refuse('gateway_unavailable', 'Stored responses cannot be looked up now. Try again.')

const notYours = (id: string): Refusal =>
  refuse('not_found', `There is no '${id.slice(0, 128)}' of yours here to go on from.`)

/**
 * What a request goes on from must be its own account's: a response, an item of one. It then goes
 * to the upstream that keeps it. Conversations are made beside the gateway, so they are nobody's.
 * Answers the request as it may go on. Source: design §3.
 */
export async function claimStored(
  deps: GatewayDeps,
  arrival: Arrival,
): Promise<{ readonly ok: true; readonly arrival: Arrival } | Refusal> {
  const { protocol, caller, view } = arrival
  const ids = view.refersTo ?? []
  if (ids.length === 0) return { ok: true, arrival }
  const chosen = chooseUpstream(deps, protocol, caller, view)
  if (isRefusal(chosen)) return chosen
  const { storedIds, unbounded } = chosen.upstream
  const isAboutToBeRefused = unbounded === 'deny' && view.unbounded.length > 0
  if (storedIds === 'any' || isAboutToBeRefused) return { ok: true, arrival }
  try {
    const own = await deps.stored.find(caller.accountId, ids)
    const foreign = ids.find((id) => !own.has(id))
    if (foreign !== undefined) return notYours(foreign)
    const [upstream, ...others] = new Set(own.values())
    if (upstream === undefined || others.length > 0) {
      return refuse('invalid_request', 'The request goes on from responses of several providers.')
    }
    return { ok: true, arrival: { ...arrival, view: { ...view, upstream } } }
  } catch (error) {
    deps.log.error({ request_id: arrival.id, error: describeError(error) }, 'no look-up of ids')
    return AWAY
  }
}
