import Anthropic from '@anthropic-ai/sdk'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { ChatAnthropic } from '@langchain/anthropic'
import type { AIMessageChunk } from '@langchain/core/messages'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, jsonSchema, streamText, tool, type LanguageModel, type ToolSet } from 'ai'
import OpenAI from 'openai'
import { z } from 'zod'
import type { FamilyName } from './world.ts'

export interface Said {
  readonly text: string
  readonly tool: { readonly name: string; readonly args: unknown } | null
  /** Input and output tokens as the SDK tells its user; null = it does not. */
  readonly tokens: readonly [number, number] | null
}

/** One real SDK, doing the four things that applications do with it. */
export interface Client {
  json(model: string, withTool?: boolean): Promise<Said>
  stream(model: string, withTool?: boolean): Promise<Said>
  /** Streams, and leaves after the first text, which it answers. */
  leave(model: string): Promise<string>
}

export interface ClientOptions {
  readonly url: string
  readonly apiKey: string
  readonly fetch: typeof fetch
  readonly maxRetries?: number
}

export interface ClientKind {
  readonly name: string
  readonly family: FamilyName
  make(options: ClientOptions): Client
}

const QUESTION = 'What is the weather in Bern?'
const PARAMETERS = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
} as const
const WEATHER = { name: 'weather', description: 'Weather of a city' } as const
const MAX_TOKENS = 500

function openai({ url, maxRetries = 0, ...options }: ClientOptions): Client {
  const client = new OpenAI({ baseURL: `${url}/v1`, maxRetries, ...options })
  const tools = [{ type: 'function' as const, function: { ...WEATHER, parameters: PARAMETERS } }]
  const body = (model: string, withTool: boolean) => ({
    model,
    messages: [{ role: 'user' as const, content: QUESTION }],
    ...(withTool ? { tools } : {}),
  })
  const said = (completion: OpenAI.ChatCompletion): Said => {
    const message = completion.choices[0]?.message
    const [call] = message?.tool_calls ?? []
    const { usage } = completion
    return {
      text: message?.content ?? '',
      tool:
        call?.type === 'function'
          ? { name: call.function.name, args: JSON.parse(call.function.arguments) as unknown }
          : null,
      tokens: usage === undefined ? null : [usage.prompt_tokens, usage.completion_tokens],
    }
  }
  return {
    json: async (model, withTool = false) =>
      said(await client.chat.completions.create(body(model, withTool))),
    stream: async (model, withTool = false) =>
      said(await client.chat.completions.stream(body(model, withTool)).finalChatCompletion()),
    async leave(model) {
      const stream = await client.chat.completions.create({ ...body(model, false), stream: true })
      for await (const chunk of stream) {
        const text = chunk.choices[0]?.delta.content
        if (text !== undefined && text !== null && text !== '') return text // break = abort
      }
      return ''
    },
  }
}

function anthropic({ url, maxRetries = 0, ...options }: ClientOptions): Client {
  const client = new Anthropic({ baseURL: url, maxRetries, ...options })
  const body = (model: string, withTool: boolean) => ({
    model,
    max_tokens: MAX_TOKENS,
    messages: [{ role: 'user' as const, content: QUESTION }],
    ...(withTool ? { tools: [{ ...WEATHER, input_schema: PARAMETERS_MUTABLE }] } : {}),
  })
  const said = ({ content, usage }: Anthropic.Message): Said => {
    const call = content.find((block) => block.type === 'tool_use')
    return {
      text: content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
      tool: call === undefined ? null : { name: call.name, args: call.input },
      tokens: [usage.input_tokens, usage.output_tokens],
    }
  }
  return {
    json: async (model, withTool = false) =>
      said(await client.messages.create(body(model, withTool))),
    stream: async (model, withTool = false) =>
      said(await client.messages.stream(body(model, withTool)).finalMessage()),
    async leave(model) {
      const stream = await client.messages.create({ ...body(model, false), stream: true })
      for await (const event of stream) {
        if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') {
          return event.delta.text
        }
      }
      return ''
    },
  }
}

const PARAMETERS_MUTABLE = { ...PARAMETERS, required: ['city'] }

function vercel(
  options: ClientOptions,
  modelOf: (model: string, options: ClientOptions) => LanguageModel,
): Client {
  const { maxRetries = 0 } = options
  const tools: ToolSet = {
    weather: tool({
      description: WEATHER.description,
      inputSchema: jsonSchema<{ city: string }>(PARAMETERS_MUTABLE),
    }),
  }
  const input = (model: string, withTool: boolean) => ({
    model: modelOf(model, options),
    prompt: QUESTION,
    maxRetries,
    maxOutputTokens: MAX_TOKENS,
    tools: withTool ? tools : {},
  })
  const tokensOf = (usage: {
    inputTokens: number | undefined
    outputTokens: number | undefined
  }): [number, number] => [usage.inputTokens ?? -1, usage.outputTokens ?? -1]
  return {
    async json(model, withTool = false) {
      const { text, toolCalls, usage } = await generateText(input(model, withTool))
      const [call] = toolCalls
      return {
        text,
        tool: call === undefined ? null : { name: call.toolName, args: call.input },
        tokens: tokensOf(usage),
      }
    },
    async stream(model, withTool = false) {
      let failure: unknown = null
      const result = streamText({
        ...input(model, withTool),
        onError({ error }) {
          failure = error
        },
      })
      let text = ''
      for await (const part of result.textStream) text += part
      if (failure instanceof Error) throw failure
      const [call] = await result.toolCalls
      return {
        text,
        tool: call === undefined ? null : { name: call.toolName, args: call.input },
        tokens: tokensOf(await result.usage),
      }
    },
    async leave(model) {
      const controller = new AbortController()
      const result = streamText({
        ...input(model, false),
        abortSignal: controller.signal,
        onError: () => undefined,
      })
      let first = ''
      for await (const part of result.textStream) {
        if (part === '') continue
        first = part
        break
      }
      controller.abort()
      return first
    },
  }
}

const vercelOpenai = (model: string, { url, apiKey, fetch }: ClientOptions): LanguageModel =>
  createOpenAI({ baseURL: `${url}/v1`, apiKey, fetch }).chat(model)

const vercelAnthropic = (model: string, { url, apiKey, fetch }: ClientOptions): LanguageModel =>
  createAnthropic({ baseURL: `${url}/v1`, apiKey, fetch })(model)

const usageSchema = z.object({ input_tokens: z.number(), output_tokens: z.number() }).optional()

function saidOf(message: AIMessageChunk): Said {
  const [call] = message.tool_calls ?? []
  const usage = usageSchema.parse(message.usage_metadata)
  return {
    text: message.text,
    tool: call === undefined ? null : { name: call.name, args: call.args },
    tokens: usage === undefined ? null : [usage.input_tokens, usage.output_tokens],
  }
}

function langchain(makeModel: (model: string) => ChatOpenAI | ChatAnthropic): Client {
  const bound = (model: string, withTool: boolean) => {
    const chat = makeModel(model)
    const schema = PARAMETERS_MUTABLE
    return withTool ? chat.bindTools([{ ...WEATHER, schema }]) : chat
  }
  return {
    json: async (model, withTool = false) => saidOf(await bound(model, withTool).invoke(QUESTION)),
    async stream(model, withTool = false) {
      let whole: AIMessageChunk | null = null
      for await (const part of await bound(model, withTool).stream(QUESTION)) {
        whole = whole === null ? part : whole.concat(part)
      }
      if (whole === null) throw new Error('nothing came')
      return saidOf(whole)
    },
    async leave(model) {
      const controller = new AbortController()
      const stream = await makeModel(model).stream(QUESTION, { signal: controller.signal })
      for await (const part of stream) {
        if (part.text === '') continue
        controller.abort()
        return part.text
      }
      return ''
    },
  }
}

const langchainOpenai = ({ url, apiKey, fetch, maxRetries = 0 }: ClientOptions): Client =>
  langchain(
    (model) =>
      new ChatOpenAI({
        model,
        apiKey,
        maxRetries,
        configuration: { baseURL: `${url}/v1`, fetch },
      }),
  )

const langchainAnthropic = ({ url, apiKey, fetch, maxRetries = 0 }: ClientOptions): Client =>
  langchain(
    (model) =>
      new ChatAnthropic({
        model,
        apiKey,
        maxRetries,
        maxTokens: MAX_TOKENS,
        anthropicApiUrl: url,
        clientOptions: { fetch },
      }),
  )

export const CLIENTS: readonly ClientKind[] = [
  { name: 'openai', family: 'openai', make: openai },
  { name: '@anthropic-ai/sdk', family: 'anthropic', make: anthropic },
  { name: 'ai with @ai-sdk/openai', family: 'openai', make: (o) => vercel(o, vercelOpenai) },
  {
    name: 'ai with @ai-sdk/anthropic',
    family: 'anthropic',
    make: (o) => vercel(o, vercelAnthropic),
  },
  { name: '@langchain/openai', family: 'openai', make: langchainOpenai },
  { name: '@langchain/anthropic', family: 'anthropic', make: langchainAnthropic },
]
