import { refuse, type ErrorCode } from '../kernel/errors.ts'
import { MODEL_CHARS_MAX } from '../kernel/limits/models.ts'
import { errorBody } from './envelope.ts'
import { geminiCountTokens } from './free.ts'
import { makeGeminiArrayTap, makeGeminiTap, meterGeminiAnswer } from './gemini-meter.ts'
import { GEMINI_COST_KEYS, readGemini, rewriteGemini } from './gemini-request.ts'
import type { PathProtocols, Protocol } from './protocol.ts'
import { parseBody } from './request-body.ts'

const failure = (code: ErrorCode, message: string): string =>
  JSON.stringify(errorBody('gemini', refuse(code, message), null))

/** Google's own SDK asks for v1, its documentation for v1beta: they speak alike. */
interface Named {
  /** "/v1/models/" or "/v1beta/models/". */
  readonly base: string
  readonly model: string
}

/** Google's Gemini API for one model, which its path names. Source: providers.md §1. */
function makeGemini({ base, model }: Named, stream: boolean): Protocol {
  const target = { model, stream }
  const endpoint = stream ? 'streamGenerateContent' : 'generateContent'
  return {
    name: 'gemini',
    family: 'gemini',
    path: `${base}${model}:${endpoint}`,
    endpoint,
    ...(stream && { streamType: 'application/json' }),
    read: (body, rawBytes) => readGemini(body, rawBytes, target),
    readBytes(raw) {
      const parsed = parseBody(raw, GEMINI_COST_KEYS)
      return parsed.ok ? readGemini(parsed.body, raw.length, target) : parsed
    },
    rewrite: (raw, _view, inject) => rewriteGemini(raw, inject),
    meterAnswer: meterGeminiAnswer,
    // What came decides, not what was asked for: a tap of the other kind would understand nothing.
    makeStreamTap: (view, { isOwnType = false }) =>
      isOwnType ? makeGeminiArrayTap(view, failure) : makeGeminiTap(view),
    streamError: (code, message) => Buffer.from(`\n\ndata: ${failure(code, message)}\n\n`),
  }
}

/** Names of models as Google and those who speak like it give them: nothing that moves a path. */
const MODEL_METHOD = /^(\/v1(?:beta)?\/models\/)([A-Za-z0-9][A-Za-z0-9._-]*):([A-Za-z]+)$/

function decoded(path: string): string | null {
  try {
    return decodeURIComponent(path)
  } catch {
    return null
  }
}

/** `/v1beta/models/<model>:<method>` and its like under /v1. Other methods are not metered. */
export const geminiPaths: PathProtocols = {
  routes: ['/v1beta/models/*', '/v1/models/*'],
  protocolOf(url) {
    const [path = ''] = url.split('?', 1)
    const [, base = '', model = '', method] = MODEL_METHOD.exec(decoded(path) ?? '') ?? []
    if (model === '' || model.length > MODEL_CHARS_MAX) return null
    switch (method ?? '') {
      case 'generateContent':
        return makeGemini({ base, model }, false)
      case 'streamGenerateContent':
        return makeGemini({ base, model }, true)
      case 'countTokens':
        return geminiCountTokens(base, model)
      default:
        return null
    }
  },
}
