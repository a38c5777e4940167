import { cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { benchEndpoints } from './endpoints.ts'
import { benchJson } from './json.ts'
import { benchPairs } from './pairs.ts'
import { benchPosting } from './posting.ts'
import { benchStreams } from './streams.ts'
import { benchWebhooks } from './webhooks.ts'

/**
 * `npm run bench`: figures side by side in one run. `--only
 * json|endpoints|streams|pairs|posting|webhooks`, `--quick` for a look. Compare within a run, never between machines.
 */
const { values } = parseArgs({
  options: { only: { type: 'string' }, quick: { type: 'boolean', default: false } },
})
const quick = values.quick
const benches: Record<string, () => Promise<void>> = {
  json: () => benchJson(quick ? 4 : 10, quick ? 1 : 3),
  endpoints: () => benchEndpoints(quick ? 4 : 10),
  streams: () => benchStreams(quick ? 200 : 1_000, quick ? 40 : 200),
  pairs: () => benchPairs(quick ? 3 : 10),
  webhooks: () => benchWebhooks(quick ? 5 : 20),
  posting: () => benchPosting(quick ? 200_000 : 5_000_000),
}

const [cpu] = cpus()
const memoryGb = Math.round(totalmem() / 2 ** 30)
console.log(
  `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${memoryGb} GB, Node ${process.version}`,
)
for (const [name, bench] of Object.entries(benches)) {
  if (values.only === undefined || values.only === name) await bench()
}
