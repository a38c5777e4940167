/** What the demo says, and how it counts: there is no model behind it. */

const INTRO =
  'This answer comes from the demo upstream of Farebox: there is no model behind it. ' +
  'It streams, counts its tokens and is charged like a real one. You said: '

/** The demo's words for a prompt, cut to `maxTokens` pieces. */
export function answerTo(prompt: string, maxTokens: number): { pieces: string[]; cut: boolean } {
  const said = prompt.length > 200 ? `${prompt.slice(0, 200)}…` : prompt
  const pieces = `${INTRO}“${said}”`.match(/\s*\S+/g) ?? []
  return { pieces: pieces.slice(0, maxTokens), cut: pieces.length > maxTokens }
}

/** A stand-in for a tokenizer: four characters a token, at least one. */
export const tokensOf = (text: string): number => Math.max(1, Math.ceil(text.length / 4))

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

/** Text of a message's content, whatever parts it has. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part) => (isRecord(part) ? textOf(part.text) : '')).join(' ')
}

export interface DemoRequest {
  readonly model: string
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly maxTokens: number
  readonly lastText: string
  readonly inputTokens: number
  /** Name of the first tool, when the last message asks for a tool; null = answer in words. */
  readonly tool: string | null
}

export const numberOr = (value: unknown, fallback: number): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : fallback

/** Name of a tool in either protocol's shape. */
function toolName(tools: unknown): string | null {
  const first: unknown = Array.isArray(tools) ? tools[0] : null
  if (!isRecord(first)) return null
  const named = isRecord(first.function) ? first.function : first
  return typeof named.name === 'string' ? named.name : null
}

/** Reads either protocol's body; null = it is not one. */
export function readRequest(body: unknown): DemoRequest | null {
  if (!isRecord(body) || typeof body.model !== 'string' || !Array.isArray(body.messages)) {
    return null
  }
  const messages = body.messages.filter(isRecord)
  const lastText = textOf(messages.at(-1)?.content)
  const allText = messages.map(({ content }) => textOf(content)).join(' ') + textOf(body.system)
  const options = isRecord(body.stream_options) ? body.stream_options : {}
  return {
    model: body.model,
    stream: body.stream === true,
    includeUsage: options.include_usage === true,
    maxTokens: numberOr(body.max_completion_tokens ?? body.max_tokens, 256),
    lastText,
    inputTokens: tokensOf(allText) + 4 * messages.length,
    tool: /\btool\b/i.test(lastText) ? toolName(body.tools) : null,
  }
}
