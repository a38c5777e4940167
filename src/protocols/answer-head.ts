import { ANSWER_HEAD_BYTES } from '../kernel/limits/answers.ts'
import { parseJson, textOr } from './json.ts'
import { visitMembers } from './json-scan.ts'

/** What the first members of a response say of it. null = they do not. */
export interface AnswerHead {
  readonly id: string | null
  readonly status: string | null
  readonly model: string | null
}

/** The texts among the members of an object, of which the last bytes may be cut off. */
export function textMembers(raw: Buffer, names: ReadonlySet<string>): Map<string, string> {
  const found = new Map<string, string>()
  visitMembers(raw, 0, ({ key, valueStart, valueEnd }) => {
    // Cut off it may be another value.
    if (!names.has(key) || valueEnd >= raw.length) return
    const text = textOr(parseJson(raw.toString('utf8', valueStart, valueEnd)))
    if (text !== null) found.set(key, text)
  })
  return found
}

const RESPONSE = 'response'
const NAMES: ReadonlySet<string> = new Set(['id', 'status', 'model'])

function headWithin(raw: Buffer): AnswerHead {
  const found = textMembers(raw, NAMES)
  const [id, status, model] = [found.get('id'), found.get('status'), found.get('model')]
  return { id: id ?? null, status: status ?? null, model: model ?? null }
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

/** Offset of the value of an object's member; null = it has none. */
export function memberStart(raw: Buffer, name: string): number | null {
  const found: number[] = []
  visitMembers(raw, 0, ({ key, valueStart }) => {
    if (key === name) found.push(valueStart)
  })
  return found[0] ?? null
}

/** The same of the response inside a stream's event; null = its data holds none. */
export function eventHead(data: Buffer): AnswerHead | null {
  const first = data.subarray(0, ANSWER_HEAD_BYTES)
  const start = memberStart(first, RESPONSE) ?? memberStart(data, RESPONSE)
  return start === null ? null : answerHead(data.subarray(start))
}
