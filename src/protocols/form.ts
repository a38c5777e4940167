import type { Refusal } from '../kernel/errors.ts'
import { wrong, type PartHead } from './form-parts.ts'

/** One part of a form. */
export interface FormPart extends PartHead {
  /** All bytes of a field; the first of a file, as many as its reader looks at. */
  readonly data: Buffer
  /** How many it has. */
  readonly bytes: number
  /** Where they begin in the body. */
  readonly at: number
}

export interface Form {
  readonly ok: true
  readonly parts: readonly FormPart[]
}

/**
 * The fields of a form as a body would have them, for readers of typed fields: numbers and
 * booleans as such. A field of `single` that is there twice, is a file, or says its value in
 * anything but printable ASCII is refused: another reader could see another value.
 */
export function fieldsOf(
  { parts }: Form,
  single: ReadonlySet<string>,
): { ok: true; body: Readonly<Record<string, unknown>> } | Refusal {
  const body: Record<string, unknown> = {}
  for (const { name, filename, data } of parts) {
    const plain = name.replace(/\[.*$/, '').toLowerCase()
    if (!single.has(plain)) {
      if (filename === null && !name.includes('[')) body[name] = data.toString('utf8')
      continue
    }
    const text = data.toString('latin1')
    if (name !== plain || filename !== null || Object.hasOwn(body, name)) {
      return wrong(`'${plain}' must be there once, as a plain field`)
    }
    if (!/^[\x20-\x7e]{1,256}$/.test(text))
      return wrong(`'${plain}' is empty or has odd characters`)
    body[name] = valueOf(text)
  }
  return { ok: true, body }
}

const MODEL: ReadonlySet<string> = new Set(['model'])

/** The model that a form names, as it is read of all of it; null = none that can be read. */
export function modelOf(form: Form): string | null {
  const fields = fieldsOf(form, MODEL)
  return fields.ok && typeof fields.body.model === 'string' ? fields.body.model : null
}

const LITERALS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
])

/** As servers read a field for a number or a truth; what is neither stays text. */
function valueOf(text: string): string | number | boolean {
  const literal = LITERALS.get(text.toLowerCase())
  if (literal !== undefined) return literal
  return /^\d{1,9}$/.test(text) ? Number(text) : text
}
