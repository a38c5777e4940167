import { refuse } from '../kernel/errors.ts'
import { errorBody } from './envelope.ts'
import { makeChatTap, meterChatAnswer } from './openai-chat-meter.ts'
import { CHAT_COST_KEYS, readChat, readFlatChat } from './openai-chat-request.ts'
import { rewriteChat } from './openai-chat-rewrite.ts'
import type { Protocol } from './protocol.ts'
import { parseBody } from './request-body.ts'

/** OpenAI's chat/completions, and the many servers that speak it. Source: providers.md §1. */
export const openaiChat: Protocol = {
  name: 'openai-chat',
  family: 'openai',
  path: '/v1/chat/completions',
  endpoint: 'chat/completions',
  read: readChat,
  readBytes(raw) {
    const parsed = parseBody(raw, CHAT_COST_KEYS)
    return parsed.ok ? readFlatChat(parsed.body, raw.length) : parsed
  },
  rewrite: rewriteChat,
  meterAnswer: meterChatAnswer,
  makeStreamTap: ({ choices }, { stripUsageChunk }) => makeChatTap(stripUsageChunk, choices),
  streamError(code, message) {
    const body = errorBody('openai', refuse(code, message), null)
    return Buffer.from(`\n\ndata: ${JSON.stringify(body)}\n\n`)
  },
}
