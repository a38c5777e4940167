import { createHash } from 'node:crypto'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { STORED_ID_CHARS_MAX } from '../../kernel/limits/background.ts'
import { SERVICE_TIER_CHARS_MAX, TOKENIZER_SLICE_CHARS_MAX } from '../../kernel/limits/models.ts'
import { OUTLINE_BYTES_MAX } from '../../kernel/limits/requests.ts'
import { seen, type SharedView } from '../../kernel/shared-bytes.ts'
import { runEnd } from '../../pricing/token-runs.ts'
import { outlineOf } from '../../protocols/json-outline.ts'
import type { MeterReport, Produced, Protocol, RequestView } from '../../protocols/protocol.ts'
import { protocolOfPath } from '../../protocols/registry.ts'
import { countAt, type JsonPath } from '../http/units.ts'

/** What a thread is asked of the bytes of one body. */
export type ReadTask = ProtocolTask | CountTask

export interface ProtocolTask {
  /** view: what a request asks for. text: its text, for a count. answer: what it says of usage. */
  readonly kind: 'view' | 'text' | 'answer'
  /** Names the protocol. */
  readonly path: string
  readonly bytes: SharedView
  /** Of a view: whether the digest is wanted that names a repeated request. */
  readonly digest: boolean
}

/** The number at a path of an answer's JSON. */
export interface CountTask {
  readonly kind: 'count'
  readonly at: JsonPath
  readonly bytes: SharedView
}

/** A view without what is no data. */
export type PlainView = Omit<RequestView, 'inputText' | 'used'>

/** Strings as UTF-8, one behind the other; the nth ends at `ends[n]`. */
export interface PackedTexts {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly ends: Uint32Array<ArrayBuffer>
}

export type ReadAnswer =
  | { readonly kind: 'view'; readonly view: PlainView | Refusal }
  | { readonly kind: 'text'; readonly texts: PackedTexts }
  | { readonly kind: 'count'; readonly count: number | null }
  | {
      readonly kind: 'answer'
      readonly report: Omit<MeterReport, 'produced'>
      readonly produced: Produced
    }

const TOO_LARGE_TO_INJECT = refuse(
  'request_too_large',
  `Name an output limit: beside its content the body has more than ${OUTLINE_BYTES_MAX} bytes.`,
)

/** Whether something may have to be written into the body before it is sent. */
const mayBeRewritten = ({ family }: Protocol, view: RequestView): boolean =>
  view.outputTokensLimit === null ||
  view.rewriteAlways === true ||
  (family === 'openai' && view.stream && !view.wantsUsageChunk)

/** What nobody could have is cut to a length that nobody has either: a view stays small. */
function bounded(view: RequestView): PlainView {
  const { inputText: _text, used: _used, refersTo, ...rest } = view
  const serviceTier = view.serviceTier?.slice(0, SERVICE_TIER_CHARS_MAX) ?? null
  const ids = refersTo?.map((id) => id.slice(0, STORED_ID_CHARS_MAX + 1))
  return { ...rest, serviceTier, ...(ids !== undefined && { refersTo: ids }) }
}

const textOf = (view: RequestView): readonly string[] => {
  const texts = view.inputText()
  return texts instanceof Promise ? [] : texts
}

/** Reads a body as its protocol does anywhere. Never throws but for want of memory. */
function viewOf(protocol: Protocol, raw: Buffer, wantsDigest: boolean): PlainView | Refusal {
  const view = protocol.readBytes(raw)
  if (!view.ok) return view
  const outline = mayBeRewritten(protocol, view) ? outlineOf(raw) : null
  if (outline !== null && outline.text.length > OUTLINE_BYTES_MAX) return TOO_LARGE_TO_INJECT
  const hash = wantsDigest ? createHash('sha256').update(`${protocol.path}\n`).update(raw) : null
  const inputTextBytes = textOf(view).reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const digest = hash?.digest() ?? null
  return { ...bounded(view), inputTextBytes, readApart: { outline, digest } }
}

/** As the tokenizer would slice it, so that no string is long and every count is the same. */
function* slices(texts: readonly string[]): Iterable<string> {
  for (const text of texts) {
    for (let from = 0; from < text.length;) {
      const to = runEnd(text, from, TOKENIZER_SLICE_CHARS_MAX)
      yield text.slice(from, to)
      from = to
    }
  }
}

function pack(texts: readonly string[]): PackedTexts {
  const parts: Buffer[] = []
  const ends: number[] = []
  let size = 0
  for (const slice of slices(texts)) {
    const part = Buffer.from(slice)
    size += part.length
    parts.push(part)
    ends.push(size)
  }
  const bytes = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return { bytes, ends: Uint32Array.from(ends) }
}

/** Does one task, in whatever thread it is called. */
export function readApart(task: ReadTask): ReadAnswer {
  const raw = seen(task.bytes)
  if (task.kind === 'count') {
    return { kind: task.kind, count: countAt(raw.toString('utf8'), task.at) }
  }
  const { kind, path, digest } = task
  const protocol = protocolOfPath(path)
  if (protocol === null) throw new Error(`no protocol has the path ${path}`)
  switch (kind) {
    case 'view':
      return { kind, view: viewOf(protocol, raw, digest) }
    case 'text': {
      const view = protocol.readBytes(raw)
      return { kind, texts: pack(view.ok ? textOf(view) : []) }
    }
    case 'answer': {
      const { produced, ...report } = protocol.meterAnswer(raw)
      return { kind, report, produced: produced() }
    }
  }
}
