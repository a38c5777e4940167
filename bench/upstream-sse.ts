import { createServer } from 'node:http'

/** Streams of chat chunks, each with the moment it was written. Prints its port. */
const [events = 200, pauseMs = 200] = process.argv.slice(2).map(Number)

const chunk = (content: string): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'gpt-4o-mini',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
    usage: null,
  })}\n\n`

const usage = { prompt_tokens: 12, completion_tokens: events, total_tokens: 12 + events }
const last = `data: ${JSON.stringify({ id: 'x', model: 'gpt-4o-mini', choices: [], usage })}\n\n`

const server = createServer((request, response) => {
  request.resume()
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  let sent = 0
  const timer = setInterval(() => {
    sent += 1
    if (sent <= events) {
      response.write(chunk(`@${performance.timeOrigin + performance.now()}@`))
      return
    }
    clearInterval(timer)
    response.end(`${last}data: [DONE]\n\n`)
  }, pauseMs)
  response.on('close', () => {
    clearInterval(timer)
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) console.log(address.port)
})
