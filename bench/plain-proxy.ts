import proxy from '@fastify/http-proxy'
import Fastify from 'fastify'

/** What Farebox is measured against: @fastify/http-proxy as its README shows it. */
const app = Fastify()
await app.register(proxy, { upstream: process.argv[2] ?? '' })
await app.listen({ host: '127.0.0.1', port: 0 })
const address = app.server.address()
if (typeof address === 'object' && address !== null) console.log(address.port)
