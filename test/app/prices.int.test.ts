import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPrices } from '../../src/app/prices.ts'
import { parseConfig } from '../../src/config.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { freshDatabase, type FreshDatabase } from '../support/stores.ts'

let database: FreshDatabase
let db: Db
beforeAll(async () => {
  database = await freshDatabase()
  db = openPostgres({ url: database.url, poolMax: 2, log: silentLog })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

const configOf = (prices: string) =>
  parseConfig(
    `
upstreams:
  openai: { protocol: openai, base_url: https://api.openai.com, api_key: k }
  proxied: { protocol: openai, base_url: http://127.0.0.1:1, api_key: k, catalogue: openai }
  local: { protocol: openai, base_url: http://127.0.0.1:8000 }
  weather: { protocol: http, base_url: https://weather.example }
prices: [${prices}]
`,
    'farebox.yaml',
    {},
  )

test('an upstream has no price where neither a catalogue nor an entry names one', async () => {
  const prices = await openPrices(db, configOf(''), systemClock)
  const unpriced = () => prices.unpriced(Date.now())
  expect(unpriced()).toEqual(['local', 'weather'])
  const limits = '{ upstream: local, model: "llama-*", max_output_tokens: 10 }'
  prices.configure(configOf(limits))
  expect(unpriced()).toEqual(['local', 'weather'])
  prices.configure(configOf(`${limits}, { model: "llama-*", input_usd_per_mtok: "0.10" }`))
  expect(unpriced()).toEqual(['weather'])
  prices.configure(configOf('{ upstream: weather, per_request_usd: "0.002" }'))
  expect(unpriced()).toEqual(['local'])
})
