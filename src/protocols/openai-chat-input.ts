import { arrayOr, isObject, objectOr, textOr, type JsonObject } from './json.ts'
import type { InputSink } from './input-tally.ts'

/** Walks everything of a chat/completions body that becomes input tokens. */
export function walkChatInput(body: JsonObject, sink: InputSink): void {
  for (const message of arrayOr(body.messages)) walkMessage(objectOr(message), sink)
  for (const tool of arrayOr(body.tools)) walkTool(objectOr(tool), sink)
  for (const named of arrayOr(body.functions)) {
    sink.frame()
    sink.text(named)
  }
  sink.text(body.response_format)
  const hosted = [body.web_search_options, body.search_parameters]
  if (hosted.some(isObject) || textOr(body.model)?.endsWith(':online') === true) {
    sink.unbounded('web_search')
  }
  if (arrayOr(body.plugins).length > 0) sink.unbounded('hosted_tools')
  if (arrayOr(body.models).length > 0) sink.unbounded('model_fallbacks')
}

function walkMessage(message: JsonObject, sink: InputSink): void {
  const { content, audio, ...rest } = message
  sink.frame()
  sink.text(rest)
  if (audio !== undefined && audio !== null) {
    sink.unbounded('earlier_audio')
    sink.unbounded('media_by_id')
  }
  if (Array.isArray(content)) {
    for (const part of arrayOr(content)) walkPart(part, sink)
  } else sink.text(content)
}

/** Tools that the client runs are text; everything else is run by the provider. */
function walkTool(tool: JsonObject, sink: InputSink): void {
  sink.frame()
  sink.text(tool)
  // A tool that names no type is a function; a function beside another type hides no tool.
  const type = tool.type ?? (isObject(tool.function) ? 'function' : null)
  if (type !== 'function' && type !== 'custom') sink.unbounded('hosted_tools')
}

function walkPart(part: unknown, sink: InputSink): void {
  const { type, ...rest } = objectOr(part)
  switch (type) {
    case 'text':
    case 'refusal':
    case 'thinking':
    case 'reasoning':
      sink.text(rest)
      break
    case 'image_url':
      walkImage(textOr(objectOr(rest.image_url).url) ?? textOr(rest.image_url), sink)
      break
    case 'input_audio': {
      const data = textOr(objectOr(rest.input_audio).data)
      if (data === null) sink.unbounded('unknown_content')
      else if (/^https?:/i.test(data)) sink.unbounded('media_by_url')
      else sink.audio(data)
      break
    }
    case 'file':
      walkFile(objectOr(rest.file), sink)
      break
    default:
      sink.text(part)
      if (typeof part !== 'string') sink.unbounded('unknown_content')
  }
}

/** How far into a URL the marker of base64 can begin: behind the media type's parameters. */
const MARKER_CHARS_MAX = 256
const MARKER = ';base64,'

/** The base64 of a data URL; null = an URL of another kind. */
function dataOf(url: string): string | null {
  if (!/^data:/i.test(url)) return null
  const at = url.slice(0, MARKER_CHARS_MAX).toLowerCase().indexOf(MARKER)
  return at === -1 ? null : url.slice(at + MARKER.length)
}

/** An image by URL or in it; null = neither. */
export function walkImage(url: string | null, sink: InputSink): void {
  const data = url === null ? null : dataOf(url)
  if (data !== null) sink.image(data)
  else sink.imageElsewhere('media_by_url')
}

/** A file in the body (`file_data`), or elsewhere. */
export function walkFile(file: JsonObject, sink: InputSink): void {
  const data = textOr(file.file_data)
  if (data === null) sink.unbounded('media_by_id')
  else if (/^https?:/i.test(data)) sink.unbounded('media_by_url')
  else sink.document(dataOf(data) ?? data)
}
