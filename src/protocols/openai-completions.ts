import { makeChatTap, meterChatAnswer } from './openai-chat-meter.ts'
import { openaiChat } from './openai-chat.ts'
import {
  COMPLETIONS_COST_KEYS,
  readCompletions,
  rewriteCompletions,
} from './openai-completions-request.ts'
import type { Protocol } from './protocol.ts'
import { parseBody } from './request-body.ts'

/** OpenAI's legacy completions: the chat's answers, with text in the choices. */
export const openaiCompletions: Protocol = {
  name: 'openai-completions',
  family: 'openai',
  path: '/v1/completions',
  endpoint: 'completions',
  read: readCompletions,
  readBytes(raw) {
    const parsed = parseBody(raw, COMPLETIONS_COST_KEYS)
    return parsed.ok ? readCompletions(parsed.body, raw.length) : parsed
  },
  rewrite: rewriteCompletions,
  meterAnswer: meterChatAnswer,
  makeStreamTap: (_view, { stripUsageChunk }) => makeChatTap(stripUsageChunk),
  streamError: (code, message) => openaiChat.streamError(code, message),
}
