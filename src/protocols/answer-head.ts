import { ANSWER_HEAD_BYTES } from '../kernel/limits-media.ts'
import { parseJson, textOr } from './json.ts'
import { visitMembers } from './json-scan.ts'

/** What the first members of a response say of it. null = they do not. */
export interface AnswerHead {
  readonly id: string | null
  readonly status: string | null
  readonly model: string | null
}

const NOTHING: AnswerHead = { id: null, status: null, model: null }

function headWithin(raw: Buffer): AnswerHead {
  let head = NOTHING
  visitMembers(raw, 0, ({ key, valueStart, valueEnd }) => {
    // Cut off it may be another value.
    if (!Object.hasOwn(NOTHING, key) || valueEnd >= raw.length) return
    head = { ...head, [key]: textOr(parseJson(raw.toString('utf8', valueStart, valueEnd))) }
  })
  return head
}

/**
 * Reads what a response is from its bytes or from the first of them, as far as they go. OpenAI
 * writes these members first; where they are not, all that is there is looked through. Linear.
 */
export function answerHead(raw: Buffer): AnswerHead {
  const first = headWithin(raw.subarray(0, ANSWER_HEAD_BYTES))
  if (raw.length <= ANSWER_HEAD_BYTES) return first
  return first.id !== null && first.status !== null ? first : headWithin(raw)
}

function responseStart(raw: Buffer): number | null {
  const found: number[] = []
  visitMembers(raw, 0, ({ key, valueStart }) => {
    if (key === 'response') found.push(valueStart)
  })
  return found[0] ?? null
}

/** The same of the response inside a stream's event; null = its data holds none. */
export function eventHead(data: Buffer): AnswerHead | null {
  const start = responseStart(data.subarray(0, ANSWER_HEAD_BYTES)) ?? responseStart(data)
  return start === null ? null : answerHead(data.subarray(start))
}
