import { isObject } from './json.ts'
import { audioTokensMax, imageTokensMax, type ImageRule } from './media-bounds.ts'

/** Why a body does not bound its cost. Source: providers.md §4. */
export type UnboundedReason =
  | 'hosted_tools'
  | 'web_search'
  | 'media_by_url'
  | 'media_by_id'
  | 'earlier_audio'
  | 'documents'
  | 'mcp_servers'
  | 'compaction'
  | 'model_fallbacks'
  | 'previous_response'
  | 'conversation'
  | 'stored_prompt'
  | 'stored_items'
  | 'reasoning_pro'
  | 'unknown_content'

/** What a walk over a request's content adds up. */
export interface InputTally {
  /** Bytes of the JSON that are base64 of media and not text. */
  readonly payloadBytes: number
  /** Upper bound of the tokens of all media. */
  readonly mediaTokens: number
  /** Parts that have tokens beside their text: messages, tools. */
  readonly frames: number
  readonly hasAudio: boolean
  readonly unbounded: ReadonlySet<UnboundedReason>
  readonly texts: readonly string[]
}

export interface InputSink {
  /** Any JSON value whose strings and keys the model reads as text. */
  text(value: unknown): void
  /** A message or a tool: some tokens of framing. */
  frame(): void
  image(base64: string): void
  audio(base64: string): void
  /** Base64 of a file whose tokens its size does not bound: pages, compressed text. */
  document(base64: string): void
  /** Media that is not in the body. */
  imageElsewhere(reason: UnboundedReason): void
  unbounded(reason: UnboundedReason): void
  tally(): InputTally
}

/**
 * Adds up what a request's content costs at most; collects its text only with `collect`, so that
 * the usual request pays for no copy. Time is linear in the content.
 */
export function makeInputSink(rule: ImageRule, collect: boolean): InputSink {
  const texts: string[] = []
  const unbounded = new Set<UnboundedReason>()
  let payloadBytes = 0
  let mediaTokens = 0
  let frames = 0
  let hasAudio = false
  return {
    text(value) {
      if (collect) collectText(value, texts)
    },
    frame() {
      frames += 1
    },
    image(base64) {
      payloadBytes += base64.length
      mediaTokens += imageTokensMax(base64, rule)
    },
    audio(base64) {
      hasAudio = true
      payloadBytes += base64.length
      mediaTokens += audioTokensMax(base64)
    },
    document(base64) {
      payloadBytes += base64.length
      unbounded.add('documents')
    },
    imageElsewhere(reason) {
      mediaTokens += imageTokensMax(null, rule)
      unbounded.add(reason)
    },
    unbounded(reason) {
      unbounded.add(reason)
    },
    tally: () => ({ payloadBytes, mediaTokens, frames, hasAudio, unbounded, texts }),
  }
}

/** Strings as they are; anything else as the JSON that a tool's schema or input is shown as. */
function collectText(value: unknown, texts: string[]): void {
  if (typeof value === 'string') texts.push(value)
  else if (Array.isArray(value) || isObject(value)) texts.push(JSON.stringify(value))
  else if (typeof value === 'number') texts.push(String(value))
}
