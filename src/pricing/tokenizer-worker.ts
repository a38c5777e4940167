import { parentPort } from 'node:worker_threads'
import { get_encoding, type Tiktoken, type TiktokenEncoding } from 'tiktoken'
import { runEnd } from './token-runs.ts'

/** What the tokenizer sends to its thread: one slice of a text at a time. */
export interface SliceRequest {
  readonly id: number
  readonly text: string
  readonly encoding: TiktokenEncoding
}

export interface SliceAnswer {
  readonly id: number
  readonly tokens: number
}

/** Vocabularies stay loaded: about 10 MB and half a second each. */
const encodings = new Map<TiktokenEncoding, Tiktoken>()

function encodingOf(name: TiktokenEncoding): Tiktoken {
  const loaded = encodings.get(name) ?? get_encoding(name)
  encodings.set(name, loaded)
  return loaded
}

/** Special tokens in the text count as the text they are: a client's text is never a command. */
function countTokens({ text, encoding }: SliceRequest): number {
  const vocabulary = encodingOf(encoding)
  let tokens = 0
  for (let from = 0; from < text.length;) {
    const to = runEnd(text, from)
    tokens += vocabulary.encode_ordinary(text.slice(from, to)).length
    from = to
  }
  return tokens
}

parentPort?.on('message', (request: SliceRequest) => {
  const answer: SliceAnswer = { id: request.id, tokens: countTokens(request) }
  parentPort?.postMessage(answer)
})
