import { refuse, type Refusal } from '../kernel/errors.ts'
import { CHOICES_MAX } from '../kernel/limits/models.ts'
import { isObject } from './json.ts'
import { setMembers, visitMembers, type Member } from './json-scan.ts'
import { withUsage } from './openai-chat-rewrite.ts'
import { readPrompt } from './openai-prompt.ts'
import type { Injection, RequestView } from './protocol.ts'
import { findMiscasedKey } from './request-body.ts'
import { makeFieldReader } from './request-fields.ts'

/** Top-level keys that bound the cost: each may be there once, in this spelling. */
export const COMPLETIONS_COST_KEYS: ReadonlySet<string> = new Set([
  'model',
  'models',
  'prompt',
  'suffix',
  'stream',
  'stream_options',
  'n',
  'best_of',
  'max_tokens',
  'echo',
])

/** What OpenAI takes where the request names none. Source: providers.md §1. */
const MAX_TOKENS_DEFAULT = 16
/** What an absent prompt stands for. */
const NO_PROMPT = '<|endoftext|>'
const LETTER_N = 0x6e

/** Reads a body of the legacy /v1/completions. Source: providers.md §1. */
export function readCompletions(body: unknown, rawBytes: number): RequestView | Refusal {
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const miscased = findMiscasedKey(body, COMPLETIONS_COST_KEYS)
  if (miscased !== null) {
    return refuse('invalid_request', `Write '${miscased.toLowerCase()}' in lower case.`)
  }
  const fields = makeFieldReader(body)
  const model = fields.model()
  const otherModels = fields.otherModels('models', fields.array('models') ?? [])
  const prompt = readPrompt(fields, 'prompt', NO_PROMPT)
  const suffix = fields.text('suffix') ?? ''
  const counts = ['n', 'best_of'].map((name) => fields.integer(name, 1, CHOICES_MAX) ?? 1)
  const limit = fields.integer('max_tokens', 0) ?? MAX_TOKENS_DEFAULT
  const wantsUsage = fields.object('stream_options')?.include_usage ?? null
  if (wantsUsage !== null && typeof wantsUsage !== 'boolean') {
    fields.fail("'stream_options.include_usage' must be true or false.")
  }
  fields.boolean('echo')
  const stream = fields.boolean('stream')
  return (
    fields.refusal ?? {
      ok: true,
      model,
      otherModels,
      stream,
      inputTokensMax: rawBytes,
      outputTokensLimit: limit,
      choices: Math.max(...counts) * prompt.items,
      wantsUsageChunk: wantsUsage === true,
      rewriteAlways: (body.max_tokens ?? null) === null,
      serviceTier: null,
      unbounded: [],
      webSearchesMax: 0,
      absentBuckets: ['input_audio_tokens', 'input_image_tokens', 'output_audio_tokens'],
      inputText: () => [...prompt.texts, suffix].filter((text) => text !== ''),
      inputTokensBeyondText: prompt.tokens,
    }
  )
}

/**
 * The client's bytes with the usage chunk asked for, and with the default limit written out:
 * other servers than OpenAI's take another one, or none.
 */
export function rewriteCompletions(
  raw: Buffer,
  view: RequestView,
  inject: Injection,
): Buffer | null {
  let options: Member | null = null
  const named = new Set<string>()
  visitMembers(raw, 0, (member) => {
    if (member.key === 'stream_options') options = member
    if (raw[member.valueStart] !== LETTER_N) named.add(member.key)
  })
  const edits = new Map<string, Buffer>()
  if (!named.has('max_tokens')) edits.set('max_tokens', Buffer.from(String(view.outputTokensLimit)))
  if (inject.includeUsage && view.stream && !view.wantsUsageChunk) {
    edits.set('stream_options', withUsage(raw, options))
  }
  return edits.size === 0 ? null : setMembers(raw, edits)
}
