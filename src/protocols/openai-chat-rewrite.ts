import { setMembers, visitMembers, type Member } from './json-scan.ts'
import { CHAT_LIMIT_KEYS } from './openai-chat-request.ts'
import type { Injection, RequestView } from './protocol.ts'

const TRUE = Buffer.from('true')
const LETTER_N = 0x6e

/**
 * The client's bytes with the injected fields set, every other byte as it came; null = nothing to
 * change. A limit replaces the ones the client named, else it takes `outputLimitField`.
 */
export function rewriteChat(raw: Buffer, view: RequestView, inject: Injection): Buffer | null {
  const asksUsage = inject.includeUsage && view.stream && !view.wantsUsageChunk
  const limit = inject.outputTokensLimit
  if (!asksUsage && limit === null) return null
  let options: Member | null = null
  const named = new Set<string>()
  visitMembers(raw, 0, (member) => {
    if (member.key === 'stream_options') options = member
    const isNull = raw[member.valueStart] === LETTER_N
    if (CHAT_LIMIT_KEYS.some((key) => key === member.key) && !isNull) named.add(member.key)
  })
  const edits = new Map<string, Buffer>()
  if (asksUsage) edits.set('stream_options', withUsage(raw, options))
  if (limit !== null) {
    if (named.size === 0) named.add(inject.outputLimitField)
    for (const name of named) edits.set(name, Buffer.from(String(limit)))
  }
  return setMembers(raw, edits)
}

/** The client's stream_options, merged with the flag; a new object where there is none. */
export function withUsage(raw: Buffer, options: Member | null): Buffer {
  const flag = new Map([['include_usage', TRUE]])
  const theirs = options === null ? null : raw.subarray(options.valueStart, options.valueEnd)
  return (theirs && setMembers(theirs, flag)) ?? Buffer.from('{"include_usage":true}')
}
