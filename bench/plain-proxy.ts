import proxy from '@fastify/http-proxy'
import Fastify from 'fastify'

/**
 * What Farebox is measured against: @fastify/http-proxy as its README shows it. With a second
 * argument it may open that many connections to the upstream: by itself streams queue at 128.
 */
const [upstream = '', connections] = process.argv.slice(2)
const app = Fastify()
const undici = connections === undefined ? {} : { undici: { connections: Number(connections) } }
await app.register(proxy, { upstream, ...undici })
await app.listen({ host: '127.0.0.1', port: 0 })
const address = app.server.address()
if (typeof address === 'object' && address !== null) console.log(address.port)
