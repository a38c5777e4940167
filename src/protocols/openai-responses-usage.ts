import { nonZero, type Buckets, type Iteration, type Usage } from '../kernel/usage.ts'
import { UNREPORTED, type ReportedUsage } from './openai-chat-usage.ts'
import { arrayOr, countOr, isObject, objectOr, textOr, type JsonObject } from './json.ts'
import { IMAGE_MODEL_DEFAULT } from './openai-responses-input.ts'

/** Calls of the provider's own tools, told by the items of an answer. */
export interface ToolItems {
  searches: number
  images: number
}

/** Counts an output item that the provider bills beside its tokens. */
export function countItem(items: ToolItems, item: unknown): void {
  const { type, action, status } = objectOr(item)
  if (type === 'image_generation_call' && status !== 'failed') items.images += 1
  if (type !== 'web_search_call') return
  // Opening or looking through a page that was found is not billed as another search.
  const does = textOr(objectOr(action).type)
  if (does === null || does === 'search') items.searches += 1
}

/**
 * A response's usage as disjoint buckets. What its tools used is in
 * `tool_usage`; older answers leave that out, and their items are counted instead.
 * Source: providers.md §1.
 */
export function responsesUsage(response: JsonObject, seen: ToolItems): ReportedUsage {
  const { usage } = response
  if (!isObject(usage)) return unended(seen)
  const input = countOr(usage.input_tokens)
  const output = countOr(usage.output_tokens)
  if (input === null && output === null) return unended(seen)
  const details = objectOr(usage.input_tokens_details)
  const read = countOr(details.cached_tokens) ?? 0
  const write = countOr(details.cache_write_tokens) ?? 0
  const reasoning = countOr(objectOr(usage.output_tokens_details).reasoning_tokens) ?? 0
  // Some servers count the same tokens as written and read: they are billed as both.
  const plain = (input ?? 0) - read - write
  const tokens: Buckets = {
    input_tokens: Math.max(0, plain < 0 ? plain + Math.min(read, write) : plain),
    cache_read_tokens: read,
    cache_write_tokens: write,
    output_tokens: output ?? 0,
    output_reasoning_tokens: Math.min(reasoning, output ?? 0),
  }
  return {
    usage: nonZero({ ...tokens, ...toolUsage(response, seen) }),
    inputReported: input !== null,
    outputReported: output !== null,
  }
}

function toolUsage(response: JsonObject, seen: ToolItems): Usage {
  const tools = response.tool_usage
  if (!isObject(tools)) return { web_search_requests: seen.searches, images: seen.images }
  const searches = countOr(objectOr(tools.web_search).num_requests) ?? seen.searches
  const images = imageIteration(response, objectOr(tools.image_gen))
  return { web_search_requests: searches, ...(images === null ? {} : { iterations: [images] }) }
}

/** What tools have done is certain although the response has not told its tokens. */
function unended({ searches, images }: ToolItems): ReportedUsage {
  if (searches + images === 0) return UNREPORTED
  return { ...UNREPORTED, usage: nonZero({ web_search_requests: searches, images }) }
}

/** Which model drew, as the answer has its tools. */
export function imageModelOf(response: JsonObject): string {
  const tool = arrayOr(response.tools)
    .map(objectOr)
    .find(({ type }) => type === 'image_generation')
  return textOr(tool?.model) ?? IMAGE_MODEL_DEFAULT
}

/** Tokens of the image model, which the top-level numbers leave out. */
function imageIteration(response: JsonObject, reported: JsonObject): Iteration | null {
  const input = countOr(reported.input_tokens) ?? 0
  const output = countOr(reported.output_tokens) ?? 0
  if (input === 0 && output === 0) return null
  const image = countOr(objectOr(reported.input_tokens_details).image_tokens) ?? 0
  return {
    type: 'image_generation',
    model: imageModelOf(response),
    usage: nonZero({
      input_tokens: Math.max(0, input - image),
      input_image_tokens: Math.min(image, input),
      output_tokens: output,
    }),
  }
}
