import { anthropicMessages } from './anthropic-messages.ts'
import { openaiChat } from './openai-chat.ts'
import { openaiResponses } from './openai-responses.ts'
import type { Protocol } from './protocol.ts'

/** Every protocol this gateway meters. A new one is a new line here. */
export const PROTOCOLS: readonly Protocol[] = [openaiChat, openaiResponses, anthropicMessages]

/** The protocol of a path, or of a path and query; null = not metered here. */
export function protocolOfPath(url: string): Protocol | null {
  const [path] = url.split(/[?#]/, 1)
  return PROTOCOLS.find((protocol) => protocol.path === path) ?? null
}
