import type { InputSink } from './input-tally.ts'
import { arrayOr, isObject, objectOr, textOr, type JsonObject } from './json.ts'
import { walkFile, walkImage } from './openai-chat-input.ts'

/** Items whose members are all text to the model, save the content and output looked at below. */
const KNOWN_ITEMS: ReadonlySet<string> = new Set([
  'message',
  'reasoning',
  'function_call',
  'function_call_output',
  'custom_tool_call',
  'custom_tool_call_output',
  'web_search_call',
  'file_search_call',
  'computer_call',
  'computer_call_output',
  'code_interpreter_call',
  'image_generation_call',
  'local_shell_call',
  'local_shell_call_output',
  'shell_call',
  'shell_call_output',
  'apply_patch_call',
  'apply_patch_call_output',
  'tool_search_call',
  'tool_search_output',
  'mcp_list_tools',
  'mcp_call',
  'mcp_approval_request',
  'mcp_approval_response',
  'compaction',
  'program',
  'program_output',
])
/** Tools whose work the client does; the provider's part is text. */
const CLIENT_TOOLS: ReadonlySet<string> = new Set([
  'function',
  'custom',
  'local_shell',
  'apply_patch',
  'computer',
  'computer_use_preview',
])

/** An item that says nothing itself: the provider puts in what it keeps under its id. */
function isReference(item: JsonObject): boolean {
  const { type, role, content, encrypted_content: sealed } = item
  if ((role ?? null) !== null) return false
  if ((type ?? 'item_reference') === 'item_reference') return true
  if (type === 'image_generation_call') return typeof item.result !== 'string'
  return type === 'reasoning' && (content ?? sealed ?? null) === null
}

/** Ids of what the provider keeps that a body goes on from. */
export function referencesOf(body: JsonObject): string[] {
  const { previous_response_id: previous, conversation, input } = body
  const items = arrayOr(input).map(objectOr).filter(isReference)
  return [previous, textOr(conversation) ?? objectOr(conversation).id, ...items.map(({ id }) => id)]
    .map(textOr)
    .filter((id) => id !== null)
}

/** Walks everything of a body of /v1/responses that becomes input tokens. */
export function walkResponsesInput(body: JsonObject, sink: InputSink): void {
  sink.text(body.instructions)
  sink.text(body.text)
  if (Array.isArray(body.input)) for (const item of arrayOr(body.input)) walkItem(item, sink)
  else {
    sink.frame()
    sink.text(body.input)
  }
  for (const tool of arrayOr(body.tools)) walkTool(objectOr(tool), sink)
  if (textOr(body.previous_response_id) !== null) sink.unbounded('previous_response')
  if ((body.conversation ?? null) !== null) sink.unbounded('conversation')
  if ((body.prompt ?? null) !== null) {
    sink.text(body.prompt)
    walkVariables(objectOr(objectOr(body.prompt).variables), sink)
    sink.unbounded('stored_prompt')
  }
  if (arrayOr(body.context_management).length > 0) sink.unbounded('compaction')
  const { mode } = objectOr(body.reasoning)
  if (mode === 'pro') sink.unbounded('reasoning_pro')
}

/** A prompt's variables may be images and files. */
function walkVariables(variables: JsonObject, sink: InputSink): void {
  for (const value of Object.values(variables)) if (isObject(value)) walkPart(value, sink)
}

function walkItem(item: unknown, sink: InputSink): void {
  sink.frame()
  const { type = 'message', content, output, result, tools, ...rest } = objectOr(item)
  sink.text(rest)
  // A container that an earlier call names is used again.
  if (namesKept({ container_id: rest.container_id, environment: rest.environment })) {
    sink.unbounded('media_by_id')
  }
  walkContent(content, sink)
  walkContent(output, sink)
  // Tools that an item adds or found are as good as those of the request.
  for (const tool of arrayOr(tools)) walkTool(objectOr(tool), sink)
  if (type === 'image_generation_call' && typeof result === 'string') sink.image(result)
  else sink.text(result)
  if (type === 'item_reference') sink.unbounded('stored_items')
  else if (typeof type !== 'string' || !KNOWN_ITEMS.has(type)) {
    if (type !== 'additional_tools') sink.unbounded('unknown_content')
  } else if (type === 'image_generation_call' && typeof result !== 'string') {
    sink.imageElsewhere('stored_items')
  }
}

function walkContent(content: unknown, sink: InputSink): void {
  if (Array.isArray(content)) for (const part of arrayOr(content)) walkPart(part, sink)
  else if (isObject(content) && content.type === 'computer_screenshot') walkPart(content, sink)
  else sink.text(content)
}

function walkPart(part: unknown, sink: InputSink): void {
  const { type, ...rest } = objectOr(part)
  switch (type) {
    case 'input_text':
    case 'output_text':
    case 'text':
    case 'refusal':
    case 'summary_text':
    case 'reasoning_text':
      sink.text(rest)
      break
    case 'input_image':
    case 'computer_screenshot': {
      const url = textOr(rest.image_url)
      if (url === null) sink.imageElsewhere('media_by_id')
      else walkImage(url, sink)
      break
    }
    case 'input_file':
      if (textOr(rest.file_url) === null) walkFile(rest, sink)
      else sink.unbounded('media_by_url')
      break
    case 'input_audio': {
      const data = textOr(objectOr(rest.input_audio).data)
      if (data === null) sink.unbounded('unknown_content')
      else sink.audio(data)
      break
    }
    default:
      sink.text(part)
      // A shell's output is a list of objects with text in them.
      if (isObject(part) && type !== undefined) sink.unbounded('unknown_content')
  }
}

function walkTool(tool: JsonObject, sink: InputSink): void {
  sink.frame()
  const { type, tools, ...rest } = tool
  sink.text(rest)
  if (type === 'namespace') {
    for (const inner of arrayOr(tools)) walkTool(objectOr(inner), sink)
    return
  }
  sink.text(tools)
  if (type !== 'function' && type !== 'custom' && namesKept(rest)) sink.unbounded('media_by_id')
  if (isSearchTool(tool)) sink.unbounded('web_search')
  else if (type === 'mcp') sink.unbounded('mcp_servers')
  else if (!runsAtClient(tool)) sink.unbounded('hosted_tools')
}

/** web_search, web_search_preview and their dated names. */
export const isSearchTool = (tool: JsonObject): boolean =>
  textOr(tool.type)?.startsWith('web_search') === true

/** Tools that no client describes: the provider adds a prompt of its own for each. */
export const isBuiltIn = (tool: JsonObject): boolean =>
  tool.type !== 'function' && tool.type !== 'custom' && tool.type !== 'namespace'

/** The image model that the tool takes where neither request nor answer names one. */
export const IMAGE_MODEL_DEFAULT = 'gpt-image-1'

/** Models of the tools that draw, wherever a body has tools; each is billed at its own price. */
export function imageModelsOf(body: JsonObject): unknown[] {
  const lists = [body, ...arrayOr(body.input).map(objectOr)].map(({ tools }) => arrayOr(tools))
  return [...new Set(lists.flat().map(objectOr).flatMap(modelsOfTool))]
}

function modelsOfTool({ type, model, tools }: JsonObject): unknown[] {
  if (type === 'namespace') return arrayOr(tools).map(objectOr).flatMap(modelsOfTool)
  return type === 'image_generation' ? [model ?? IMAGE_MODEL_DEFAULT] : []
}

function runsAtClient(tool: JsonObject): boolean {
  const type = textOr(tool.type)
  if (type === 'shell') return textOr(objectOr(tool.environment).type) === 'local'
  return type !== null && CLIENT_TOOLS.has(type)
}

/** Under these names a tool or a call says what the provider keeps: files, containers, stores. */
const KEPT = new Set(['container_id', 'file_id', 'file_ids', 'vector_store_ids', 'skill_id'])

/** Whether something that the provider keeps is named by its id. */
function namesKept(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(namesKept)
  return Object.entries(objectOr(value)).some(([name, inner]) => {
    if (name === 'container' && typeof inner === 'string') return true
    if (KEPT.has(name)) return Array.isArray(inner) ? inner.length > 0 : (inner ?? null) !== null
    return namesKept(inner)
  })
}
