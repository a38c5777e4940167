import { arrayOr, isObject, objectOr, textOr, type JsonObject } from './json.ts'
import type { InputSink } from './input-tally.ts'

/** Walks everything of a Messages body that becomes input tokens. */
export function walkMessagesInput(body: JsonObject, sink: InputSink): void {
  walkContent(body.system, sink)
  for (const message of arrayOr(body.messages)) {
    sink.frame()
    walkContent(objectOr(message).content, sink)
  }
  for (const tool of arrayOr(body.tools)) walkTool(objectOr(tool), sink)
  sink.text(body.output_config)
  sink.text(body.output_format)
  if (arrayOr(body.mcp_servers).length > 0) sink.unbounded('mcp_servers')
  walkContainer(body.container ?? null, sink)
  if ((body.fallbacks ?? null) !== null) sink.unbounded('model_fallbacks')
  for (const edit of arrayOr(objectOr(body.context_management).edits)) {
    if (textOr(objectOr(edit).type)?.startsWith('compact') === true) sink.unbounded('compaction')
  }
}

/** A container by its id holds somebody's files; so does a skill that is not Anthropic's own. */
function walkContainer(container: unknown, sink: InputSink): void {
  if (container === null) return
  sink.unbounded('hosted_tools')
  const { id, skills } = objectOr(container)
  const isNamed = typeof container === 'string' || (id ?? null) !== null
  const isOwn = arrayOr(skills).some((skill) => objectOr(skill).type !== 'anthropic')
  if (isNamed || isOwn) sink.unbounded('media_by_id')
}

/** Tools that the client runs, by the names Anthropic gives them before the date. */
const CLIENT_TOOL = /^(?:custom|(?:bash|text_editor|computer|memory)_\d{8})$/

function walkTool(tool: JsonObject, sink: InputSink): void {
  sink.frame()
  sink.text(tool)
  const type = tool.type ?? 'custom'
  if (typeof type === 'string' && CLIENT_TOOL.test(type)) return
  const searches = typeof type === 'string' && type.startsWith('web_search_')
  sink.unbounded(searches ? 'web_search' : 'hosted_tools')
}

function walkContent(content: unknown, sink: InputSink): void {
  if (Array.isArray(content)) {
    for (const block of arrayOr(content)) walkBlock(block, sink)
  } else sink.text(content)
}

/** Blocks whose cost is in their text, encrypted or not. */
const TEXT_BLOCKS = new Set([
  'text',
  'tool_use',
  'thinking',
  'redacted_thinking',
  'search_result',
  'server_tool_use',
  'web_search_tool_result',
  'tool_search_tool_result',
  'mcp_tool_use',
  'compaction',
  'fallback',
])

function walkBlock(block: unknown, sink: InputSink): void {
  if (!isObject(block)) {
    sink.text(block)
    return
  }
  const { type } = block
  if (type === 'image') walkImage(objectOr(block.source), sink)
  else if (type === 'document') walkDocument(block, sink)
  else if (type === 'tool_result' || type === 'mcp_tool_result') walkContent(block.content, sink)
  else if (type === 'container_upload') sink.unbounded('media_by_id')
  else {
    sink.text(block)
    if (typeof type !== 'string' || !TEXT_BLOCKS.has(type)) sink.unbounded('unknown_content')
  }
}

function walkImage(source: JsonObject, sink: InputSink): void {
  const data = textOr(source.data)
  if (source.type === 'base64' && data !== null) sink.image(data)
  else sink.imageElsewhere(source.type === 'url' ? 'media_by_url' : 'media_by_id')
}

function walkDocument(block: JsonObject, sink: InputSink): void {
  const source = objectOr(block.source)
  const data = textOr(source.data)
  sink.text([block.title, block.context])
  if (source.type === 'text') sink.text(data)
  else if (source.type === 'content') walkContent(source.content, sink)
  else if (source.type === 'base64' && data !== null) sink.document(data)
  else sink.unbounded(source.type === 'url' ? 'media_by_url' : 'media_by_id')
}
