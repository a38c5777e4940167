import { anthropicMessages } from './anthropic-messages.ts'
import { anthropicCountTokens, openaiInputTokens, openaiModerations } from './free.ts'
import { geminiPaths } from './gemini.ts'
import { openaiChat } from './openai-chat.ts'
import { openaiCompletions } from './openai-completions.ts'
import { openaiEmbeddings } from './openai-embeddings.ts'
import { openaiImageEdits, openaiImages } from './openai-images.ts'
import { openaiResponses } from './openai-responses.ts'
import { openaiSpeech } from './openai-speech.ts'
import { openaiTranscriptions, openaiTranslations } from './openai-transcriptions.ts'
import type { PathProtocols, Protocol } from './protocol.ts'

/** Every protocol this gateway meters. A new one is a new line here. */
export const PROTOCOLS: readonly Protocol[] = [
  openaiChat,
  openaiResponses,
  openaiCompletions,
  openaiEmbeddings,
  openaiImages,
  openaiImageEdits,
  openaiSpeech,
  openaiTranscriptions,
  openaiTranslations,
  openaiModerations,
  openaiInputTokens,
  anthropicMessages,
  anthropicCountTokens,
]

/** Those whose path names the model. */
const PATH_PROTOCOLS: readonly PathProtocols[] = [geminiPaths]

/** Both, as the gateway takes them. */
export const METERED = { protocols: PROTOCOLS, pathProtocols: PATH_PROTOCOLS }

/** The protocol of a path, or of a path and query; null = not metered here. */
export function protocolOfPath(url: string): Protocol | null {
  const [path] = url.split(/[?#]/, 1)
  const exact = PROTOCOLS.find((protocol) => protocol.path === path)
  if (exact !== undefined) return exact
  const named = PATH_PROTOCOLS.map((paths) => paths.protocolOf(url))
  return named.find((protocol) => protocol !== null) ?? null
}
