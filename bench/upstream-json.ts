import { createServer } from 'node:http'
import { ANSWER } from './programs.ts'

/** A constant answer, where nginx is not installed. Prints its port. */
const body = Buffer.from(ANSWER)
const headers = { 'content-type': 'application/json', 'content-length': body.length }
const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    response.writeHead(200, headers)
    response.end(body)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) console.log(address.port)
})
