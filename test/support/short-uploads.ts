import http from 'node:http'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Loaded into a process of its own before its code (`NODE_OPTIONS=--import`): its servers wait for
 * a whole request no longer than so many ms, and look for those that are late more often.
 */
const ms = Number(process.env.TEST_REQUEST_MS)
const make = http.createServer
const shortened = (...given: Parameters<typeof make>): http.Server => {
  const server = make(...given)
  return Object.defineProperties(server, {
    requestTimeout: { get: () => ms, set: () => undefined },
    headersTimeout: { get: () => ms, set: () => undefined },
    connectionsCheckingInterval: { get: () => ms / 10, set: () => undefined },
  })
}
http.createServer = shortened as typeof make
syncBuiltinESMExports()
