import { usedImages, type ImagesAsked } from './openai-images-request.ts'
import { usedSpeech, type SpeechAsked } from './openai-speech.ts'
import type { MeterReport, Used } from './protocol.ts'

/** What only a request tells of its units, as plain data: it may have been read in a thread. */
export type Asked = ImagesAsked | SpeechAsked

/** What was used, from what the answer reports and what only the request tells. */
export function usedOf(asked: Asked, report: MeterReport): Used {
  switch (asked.kind) {
    case 'images':
      return usedImages(asked, report)
    case 'speech':
      return usedSpeech(asked, report)
  }
}
