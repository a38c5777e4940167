import { startFarebox } from './farebox.ts'
import { loadOn, type Asked, type Load } from './load.ts'
import { ANSWER, REQUEST, startByPath, type Program } from './programs.ts'
import { number, print } from './table.ts'

interface Endpoint extends Asked {
  readonly name: string
  /** Regular expression of the paths that the upstream gives `answer` for. */
  readonly match: string
  readonly answer: string
}

const json = (value: unknown): string => JSON.stringify(value)
const MESSAGE = {
  ...{ type: 'message', id: 'msg_bench', status: 'completed', role: 'assistant' },
  content: [{ type: 'output_text', text: 'Hello there.', annotations: [] }],
}

const ENDPOINTS: readonly Endpoint[] = [
  {
    name: 'chat/completions',
    path: '/v1/chat/completions',
    body: REQUEST,
    match: 'chat/completions$',
    answer: ANSWER,
  },
  {
    // What is stored at the provider is noted here too, so an id each would be another bench.
    name: 'responses (store: false)',
    path: '/v1/responses',
    body: json({ model: 'gpt-4o-mini', input: 'Hello', max_output_tokens: 64, store: false }),
    match: 'responses$',
    answer: json({
      ...{ id: 'resp_bench', object: 'response', status: 'completed', store: false },
      ...{ model: 'gpt-4o-mini', output: [MESSAGE] },
      usage: { input_tokens: 12, output_tokens: 10, total_tokens: 22 },
    }),
  },
  {
    // nginx returns no text above 4 KB.
    name: 'embeddings (256 numbers)',
    path: '/v1/embeddings',
    body: json({ model: 'text-embedding-3-small', input: 'Hello' }),
    match: 'embeddings$',
    answer: json({
      ...{ object: 'list', model: 'text-embedding-3-small' },
      data: [{ object: 'embedding', index: 0, embedding: Array<number>(256).fill(0.0123) }],
      usage: { prompt_tokens: 2, total_tokens: 2 },
    }),
  },
  {
    name: 'Gemini generateContent',
    path: '/v1beta/models/gemini-2.5-flash:generateContent',
    body: json({
      contents: [{ role: 'user', parts: [{ text: 'Hello' }] }],
      generationConfig: { maxOutputTokens: 64 },
    }),
    match: 'generateContent$',
    answer: json({
      candidates: [
        { content: { role: 'model', parts: [{ text: 'Hello there.' }] }, finishReason: 'STOP' },
      ],
      usageMetadata: { promptTokenCount: 2, candidatesTokenCount: 4, totalTokenCount: 6 },
      modelVersion: 'gemini-2.5-flash',
    }),
  },
  {
    name: '/up/api/* by request',
    path: '/up/api/anything',
    body: json({ city: 'Bern' }),
    match: 'anything$',
    answer: json({ temperature: 12 }),
  },
]

const CONNECTIONS = 64

/** One gateway, one endpoint after the other with the same load, beside the upstream alone. */
export async function benchEndpoints(seconds: number): Promise<void> {
  const upstream = await startByPath(ENDPOINTS)
  const farebox = await startFarebox(upstream.url)
  const key = farebox.customer.apiKey
  const load = (program: Program, asked: Asked, forS: number): Promise<Load> =>
    loadOn(program, key, CONNECTIONS, forS, asked)
  try {
    const rows: string[][] = []
    let chat: number | null = null
    for (const endpoint of ENDPOINTS) {
      await load(farebox, endpoint, Math.max(3, seconds / 2))
      const alone = await load(upstream, { ...endpoint, path: pathAlone(endpoint) }, seconds)
      const through = await load(farebox, endpoint, seconds)
      chat ??= through.requestsPerS
      rows.push([
        endpoint.name,
        number(alone.requestsPerS, 0),
        number(through.requestsPerS, 0),
        number(through.requestsPerS / chat, 2),
        number(through.p50Ms, 2),
        number(through.p99Ms, 2),
        number(through.cpuCores, 2),
        String(through.failed),
      ])
    }
    const heads = ['upstream alone/s', 'Farebox/s', '× chat', 'p50 ms', 'p99 ms', 'CPU', 'failed']
    print(`Endpoints, ${CONNECTIONS} connections, metered and posted`, ['', ...heads], rows)
  } finally {
    await farebox.stop()
    await upstream.stop()
  }
}

/** As the gateway calls the upstream. */
const pathAlone = ({ path }: Endpoint): string => path.replace('/up/api', '')
