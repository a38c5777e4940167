import type { Refusal } from '../../src/kernel/errors.ts'
import {
  FORM_FIELD_BYTES_MAX,
  FORM_HEAD_BYTES_MAX,
  FORM_PARTS_MAX,
} from '../../src/kernel/limits/forms.ts'
import { boundaryOf, partHead, wrong } from '../../src/protocols/form-parts.ts'
import type { Form, FormPart } from '../../src/protocols/form.ts'

const HEAD_END = Buffer.from('\r\n\r\n')

/** The plain way to read a form that is whole: what reading it in pieces must come to. */
export function readWhole(raw: Buffer, contentType: string): Form | Refusal {
  const boundary = boundaryOf(contentType)
  if (typeof boundary !== 'string') return boundary
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  if (!raw.subarray(0, delimiter.length).equals(Buffer.from(`--${boundary}\r\n`))) {
    return wrong('it must begin with its boundary')
  }
  const parts: FormPart[] = []
  let at = delimiter.length
  for (;;) {
    if (parts.length === FORM_PARTS_MAX) return wrong(`it has more than ${FORM_PARTS_MAX} parts`)
    const headEnd = raw.subarray(at, at + FORM_HEAD_BYTES_MAX).indexOf(HEAD_END)
    if (headEnd < 0) return wrong('the headers of a part are too long, or not there')
    const start = at + headEnd + HEAD_END.length
    const end = raw.indexOf(delimiter, start - 2)
    if (end < 0) return wrong('it has no end')
    if (end < start || raw.subarray(start, end).includes(delimiter.subarray(2))) {
      return wrong('a part has its boundary inside')
    }
    const head = raw.toString('utf8', at, at + headEnd)
    const part = partHead(head)
    if ('ok' in part) return part
    const data = raw.subarray(start, end)
    if (part.filename === null && data.length > FORM_FIELD_BYTES_MAX) return wrong('too long')
    parts.push({ ...part, data, bytes: data.length, at: start })
    at = end + delimiter.length + 2
    const next = raw.toString('latin1', at - 2, at)
    if (next === '--') break
    if (next !== '\r\n') return wrong('a part has its boundary inside')
  }
  const rest = raw.toString('latin1', at, at + 3)
  return rest === '' || rest === '\r\n' ? { ok: true, parts } : wrong('something follows its end')
}

/** The plain way to take the boundaries out of a body. */
export const piecesOf = (raw: Buffer, boundary: string): Buffer =>
  Buffer.from(raw.toString('latin1').replaceAll(`--${boundary}`, '--'), 'latin1')
