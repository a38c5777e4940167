import type { InputSink } from './input-tally.ts'
import { arrayOr, isObject, objectOr, textOr, type JsonObject } from './json.ts'

/** Walks everything of a generateContent body that becomes input tokens. */
export function walkGeminiInput(body: JsonObject, sink: InputSink): void {
  for (const content of listOf(body.contents)) walkContent(content, sink)
  if (isObject(body.systemInstruction)) walkContent(body.systemInstruction, sink)
  else sink.text(body.systemInstruction)
  for (const tool of listOf(body.tools)) walkTool(objectOr(tool), sink)
  const { responseSchema, responseJsonSchema, response_schema } = objectOr(body.generationConfig)
  for (const schema of [responseSchema, responseJsonSchema, response_schema]) sink.text(schema)
  if (textOr(body.cachedContent) !== null) sink.unbounded('media_by_id')
}

/** Google takes one element for a list of one. */
const listOf = (value: unknown): readonly unknown[] => (isObject(value) ? [value] : arrayOr(value))

/** Tools that the client runs, in both spellings. */
const CLIENT_TOOLS = new Set([
  'functionDeclarations',
  'function_declarations',
  'computerUse',
  'computer_use',
])
const SEARCHES = new Set([
  'googleSearch',
  'google_search',
  'googleSearchRetrieval',
  'google_search_retrieval',
  'enterpriseWebSearch',
])

function walkTool(tool: JsonObject, sink: InputSink): void {
  sink.text(tool)
  for (const [name, value] of Object.entries(tool)) {
    if (value === null) continue
    arrayOr(value).forEach(() => {
      sink.frame()
    })
    if (CLIENT_TOOLS.has(name)) continue
    sink.unbounded(SEARCHES.has(name) ? 'web_search' : 'hosted_tools')
  }
}

function walkContent(content: unknown, sink: InputSink): void {
  sink.frame()
  if (!isObject(content)) {
    sink.text(content)
    return
  }
  for (const part of listOf(content.parts)) walkPart(part, sink)
}

/** Parts whose cost is in their text. */
const TEXT_PARTS = new Set([
  'text',
  'thought',
  'thoughtSignature',
  'thought_signature',
  'functionCall',
  'function_call',
  'functionResponse',
  'function_response',
  'executableCode',
  'executable_code',
  'codeExecutionResult',
  'code_execution_result',
  'mediaResolution',
  'media_resolution',
  'partMetadata',
])

/** A file of Google's Files API: whoever has the key may read it. */
const KEPT_FILE = /^(?:https?:\/\/[^/]*googleapis\.com\/.*)?files\/[^/]+$/i

function walkPart(part: unknown, sink: InputSink): void {
  if (!isObject(part)) {
    sink.text(part)
    return
  }
  for (const [name, value] of Object.entries(part)) {
    if (name === 'inlineData' || name === 'inline_data') walkBlob(objectOr(value), sink)
    else if (name === 'fileData' || name === 'file_data') {
      const { fileUri, file_uri: other } = objectOr(value)
      const uri = textOr(fileUri) ?? textOr(other) ?? ''
      sink.unbounded(KEPT_FILE.test(uri) ? 'media_by_id' : 'media_by_url')
    } else if (name === 'functionResponse' || name === 'function_response') {
      const { parts, ...rest } = objectOr(value)
      sink.text(rest)
      for (const inner of arrayOr(parts)) walkPart(inner, sink)
    } else if (TEXT_PARTS.has(name)) sink.text(value)
    else if (name !== 'videoMetadata' && name !== 'video_metadata') {
      sink.text(value)
      sink.unbounded('unknown_content')
    }
  }
}

/** Bytes in the body, told by their type; pages, films and what we do not know are not bounded. */
function walkBlob(blob: JsonObject, sink: InputSink): void {
  const type = (textOr(blob.mimeType) ?? textOr(blob.mime_type) ?? '').toLowerCase()
  const data = textOr(blob.data) ?? ''
  if (type.startsWith('image/')) sink.image(data)
  else if (type.startsWith('audio/')) sink.audio(data)
  else sink.document(data)
}
