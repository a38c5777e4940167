import { Agent, request } from 'undici'

/** Opens streams at once, measures each event's age on arrival, prints one JSON line. */
const [url = '', key = '', count = '100'] = process.argv.slice(2)
const agent = new Agent({ connections: Number(count), headersTimeout: 0, bodyTimeout: 0 })
const agesMs: number[] = []
let failed = 0

const body = JSON.stringify({
  model: 'gpt-4o-mini',
  stream: true,
  stream_options: { include_usage: true },
  max_tokens: 300,
  messages: [{ role: 'user', content: 'Hello' }],
})

async function one(): Promise<void> {
  const { statusCode, body: stream } = await request(`${url}/v1/chat/completions`, {
    dispatcher: agent,
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body,
  })
  let ended = false
  for await (const part of stream) {
    const nowMs = performance.timeOrigin + performance.now()
    const text = String(part)
    for (const [, sentMs] of text.matchAll(/@([\d.]+)@/g)) agesMs.push(nowMs - Number(sentMs))
    ended ||= text.includes('[DONE]')
  }
  if (statusCode !== 200 || !ended) failed += 1
}

await Promise.all(Array.from({ length: Number(count) }, () => one().catch(() => (failed += 1))))
agesMs.sort((a, b) => a - b)
const at = (part: number): number => agesMs[Math.floor((agesMs.length - 1) * part)] ?? 0
console.log(JSON.stringify({ events: agesMs.length, p50Ms: at(0.5), p99Ms: at(0.99), failed }))
process.exit(0)
