import { refuse } from '../kernel/errors.ts'
import { makeMessagesTap, meterMessagesAnswer } from './anthropic-meter.ts'
import { MESSAGES_COST_KEYS, readMessages, rewriteMessages } from './anthropic-request.ts'
import { errorBody } from './envelope.ts'
import type { Protocol } from './protocol.ts'
import { parseBody } from './request-body.ts'

/** Anthropic's Messages API. Source: providers.md §1. */
export const anthropicMessages: Protocol = {
  name: 'anthropic-messages',
  family: 'anthropic',
  path: '/v1/messages',
  endpoint: 'messages',
  read: readMessages,
  readBytes(raw) {
    const parsed = parseBody(raw, MESSAGES_COST_KEYS)
    return parsed.ok ? readMessages(parsed.body, raw.length) : parsed
  },
  rewrite: (raw, _view, inject) => rewriteMessages(raw, inject),
  meterAnswer: meterMessagesAnswer,
  makeStreamTap: () => makeMessagesTap(),
  streamError(code, message) {
    const body = errorBody('anthropic', refuse(code, message), null)
    return Buffer.from(`\n\nevent: error\ndata: ${JSON.stringify(body)}\n\n`)
  },
}
