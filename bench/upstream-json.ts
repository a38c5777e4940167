import { createServer } from 'node:http'
import { ANSWER } from './programs.ts'

/**
 * Constant answers, where nginx is not installed: one, or those of the first argument by path (as
 * of startByPath). Prints its port.
 */
interface Answer {
  readonly match: RegExp
  readonly body: Buffer
}

function answersOf(given: string | undefined): Answer[] {
  if (given === undefined) return [{ match: /./, body: Buffer.from(ANSWER) }]
  const parsed: unknown = JSON.parse(given)
  return (Array.isArray(parsed) ? parsed : []).map((one: { match: string; answer: string }) => ({
    match: new RegExp(one.match),
    body: Buffer.from(one.answer),
  }))
}

const answers = answersOf(process.argv[2])
const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    const body = answers.find(({ match }) => match.test(request.url ?? ''))?.body ?? ''
    const status = body === '' ? 404 : 200
    const headers = { 'content-type': 'application/json', 'content-length': body.length }
    response.writeHead(status, headers)
    response.end(body)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) console.log(address.port)
})
