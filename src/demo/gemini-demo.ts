import { answerTo, isRecord, numberOr, textOf, tokensOf } from './answer-text.ts'

/** What the path of a Gemini call names; null = it is another path. */
export interface GeminiCall {
  readonly model: string
  readonly method: 'generateContent' | 'streamGenerateContent' | 'countTokens'
}

const PATH = /^\/v1(?:beta)?\/models\/([^/:]+):(generateContent|streamGenerateContent|countTokens)$/

export function geminiCall(path: string): GeminiCall | null {
  const [, model = '', method = ''] = PATH.exec(path) ?? []
  if (method !== 'generateContent' && method !== 'streamGenerateContent') {
    return method === 'countTokens' ? { model, method } : null
  }
  return { model, method }
}

export interface GeminiAnswer {
  readonly json: unknown
  /** The chunks of a stream, each a whole response object. */
  readonly chunks: readonly unknown[]
}

/** An answer in Gemini's shape; null = the body is not one of its requests. */
export function answerGemini({ model, method }: GeminiCall, body: unknown): GeminiAnswer | null {
  if (!isRecord(body) || !Array.isArray(body.contents)) return null
  const texts = body.contents.map((content) => (isRecord(content) ? textOf(content.parts) : ''))
  const promptTokenCount = tokensOf(texts.join(' ')) + 4 * texts.length
  if (method === 'countTokens') return { json: { totalTokens: promptTokenCount }, chunks: [] }
  const config = isRecord(body.generationConfig) ? body.generationConfig : {}
  const { pieces, cut } = answerTo(texts.at(-1) ?? '', numberOr(config.maxOutputTokens, 256))
  const usageOf = (candidatesTokenCount: number) => ({
    promptTokenCount,
    candidatesTokenCount,
    totalTokenCount: promptTokenCount + candidatesTokenCount,
  })
  const chunkOf = (text: string, produced: number, isLast: boolean) => ({
    candidates: [
      {
        content: { role: 'model', parts: [{ text }] },
        index: 0,
        ...(isLast ? { finishReason: cut ? 'MAX_TOKENS' : 'STOP' } : {}),
      },
    ],
    usageMetadata: usageOf(produced),
    modelVersion: model,
  })
  return {
    json: chunkOf(pieces.join(''), pieces.length, true),
    chunks: pieces.map((text, at) => chunkOf(text, at + 1, at === pieces.length - 1)),
  }
}

/** The bytes of a stream: events where `alt=sse` asks for them, else one JSON array. */
export function geminiEvents(chunks: readonly unknown[], isSse: boolean): string[] {
  const texts = chunks.map((chunk) => JSON.stringify(chunk))
  if (isSse) return texts.map((text) => `data: ${text}\r\n\r\n`)
  return texts.map(
    (text, at) => `${at === 0 ? '[' : ',\r\n'}${text}${isLast(texts, at) ? ']' : ''}`,
  )
}

const isLast = (texts: readonly string[], at: number): boolean => at === texts.length - 1
