import { anthropicMessages } from './anthropic-messages.ts'
import { openaiInputTokens, openaiModerations } from './free.ts'
import { openaiChat } from './openai-chat.ts'
import { openaiCompletions } from './openai-completions.ts'
import { openaiEmbeddings } from './openai-embeddings.ts'
import { openaiResponses } from './openai-responses.ts'
import type { Protocol } from './protocol.ts'

/** Every protocol this gateway meters. A new one is a new line here. */
export const PROTOCOLS: readonly Protocol[] = [
  openaiChat,
  openaiResponses,
  openaiCompletions,
  openaiEmbeddings,
  openaiModerations,
  openaiInputTokens,
  anthropicMessages,
]

/** The protocol of a path, or of a path and query; null = not metered here. */
export function protocolOfPath(url: string): Protocol | null {
  const [path] = url.split(/[?#]/, 1)
  return PROTOCOLS.find((protocol) => protocol.path === path) ?? null
}
