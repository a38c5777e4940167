import { visitMembers } from './json-scan.ts'

/** Top-level members that a protocol's `rewrite` looks at or changes. */
const OUTLINED_KEYS: ReadonlySet<string> = new Set([
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'stream_options',
  'generationConfig',
  'generation_config',
])

/**
 * A JSON object with all members cut out that no rewrite touches, so that a large body can be
 * rewritten without looking at all of it: each run of them is one member that stands for it.
 */
export interface Outline {
  readonly text: Uint8Array
  /** What was cut out, as offsets into the whole. The nth run is the member named `cut(n)`. */
  readonly cuts: readonly { readonly start: number; readonly end: number }[]
}

/** No client's key: they are cut out, all but the outlined ones. */
const cut = (index: number): string => `\0${index}`
const standIn = (index: number): Buffer => Buffer.from(`${JSON.stringify(cut(index))}:0`)

/** null = `raw` is no object. Linear in `raw`. */
export function outlineOf(raw: Buffer): Outline | null {
  const cuts: { start: number; end: number }[] = []
  const parts: Buffer[] = []
  let copied = 0
  let isInRun = false
  const span = visitMembers(raw, 0, ({ key, keyStart, valueEnd }) => {
    if (OUTLINED_KEYS.has(key)) {
      isInRun = false
      return
    }
    const last = cuts.at(-1)
    if (isInRun && last !== undefined) last.end = valueEnd
    else {
      parts.push(raw.subarray(copied, keyStart), standIn(cuts.length))
      cuts.push({ start: keyStart, end: valueEnd })
    }
    isInRun = true
    copied = valueEnd
  })
  if (span === null) return null
  parts.push(raw.subarray(copied))
  return { text: Buffer.concat(parts), cuts }
}

/** `raw` with its outline rewritten to `text`, in parts: nothing of `raw` is copied. */
export function filledOutline(raw: Buffer, outline: Outline, text: Buffer): Buffer[] {
  const parts: Buffer[] = []
  let copied = 0
  let index = 0
  visitMembers(text, 0, ({ key, keyStart, valueEnd }) => {
    const hole = key === cut(index) ? outline.cuts[index] : undefined
    if (hole === undefined) return
    parts.push(text.subarray(copied, keyStart), raw.subarray(hole.start, hole.end))
    copied = valueEnd
    index += 1
  })
  parts.push(text.subarray(copied))
  return parts
}
