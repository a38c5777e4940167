import { answerHead, type AnswerHead } from '../../protocols/answer-head.ts'
import { isObject, parseJson } from '../../protocols/json.ts'

/** After these nothing of a response changes any more. */
const TERMINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'incomplete', 'cancelled'])

export const isTerminal = (status: unknown): boolean =>
  typeof status === 'string' && TERMINAL.has(status)

/** What an answer to a request for a background response says of it. */
export type State =
  /** It goes on at its provider. */
  | { readonly kind: 'under_way'; readonly responseId: string }
  /** The answer is all there is, or the provider keeps nothing that could be asked for. */
  | { readonly kind: 'ended' }
  /** It may go on. */
  | { readonly kind: 'unread'; readonly responseId: string | null }

/** By its first members, as far as they have come. */
export function stateOf(head: AnswerHead): State {
  const { id, status } = head
  if (isTerminal(status)) return { kind: 'ended' }
  if (id !== null && status !== null) return { kind: 'under_way', responseId: id }
  return { kind: 'unread', responseId: id }
}

/** By the whole answer: one without a status has ended where it names no id or has its usage. */
export function stateOfWhole(body: Buffer): State {
  const state = stateOf(answerHead(body))
  if (state.kind !== 'unread') return state
  const answer = parseJson(body.toString('utf8'))
  const isAll = isObject(answer) && (typeof answer.id !== 'string' || isObject(answer.usage))
  return isAll ? { kind: 'ended' } : state
}
