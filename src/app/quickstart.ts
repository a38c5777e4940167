import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

/** What a newcomer needs to call this gateway. Written with mode 0600. Source: design §10. */
const quickstartSchema = z.object({
  base_url: z.string(),
  api_key: z.string(),
  admin_token: z.string(),
  account_id: z.string(),
})
export type Quickstart = z.infer<typeof quickstartSchema>

const QUICKSTART_ACCOUNT = 'acct_quickstart'
export const DATA_DIR = '.farebox'

const fileOf = (dir: string): string => join(dir, 'quickstart.json')

/** The file of an earlier start; null where there is none or it is not readable as one. */
export function readQuickstart(dir: string): Quickstart | null {
  try {
    const parsed: unknown = JSON.parse(readFileSync(fileOf(dir), 'utf8'))
    return quickstartSchema.parse(parsed)
  } catch {
    return null
  }
}

function writeQuickstart(dir: string, quickstart: Quickstart): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  writeFileSync(fileOf(dir), `${JSON.stringify(quickstart, null, 2)}\n`, { mode: 0o600 })
}

/** Makes sure that account, credits and key exist; the key of an earlier start is kept. */
export interface QuickstartSetup {
  accountExists(id: string): Promise<boolean>
  createAccount(id: string, name: string): Promise<void>
  grantPromo(accountId: string): Promise<void>
  /** Whether a secret still opens the account. */
  keyWorks(secret: string, accountId: string): Promise<boolean>
  createKey(accountId: string): Promise<string>
}

export async function prepareQuickstart(
  dir: string,
  baseUrl: string,
  adminToken: string,
  setup: QuickstartSetup,
): Promise<Quickstart> {
  const earlier = readQuickstart(dir)
  if (!(await setup.accountExists(QUICKSTART_ACCOUNT))) {
    await setup.createAccount(QUICKSTART_ACCOUNT, 'Quickstart')
  }
  await setup.grantPromo(QUICKSTART_ACCOUNT)
  const kept = earlier !== null && (await setup.keyWorks(earlier.api_key, QUICKSTART_ACCOUNT))
  const quickstart: Quickstart = {
    base_url: baseUrl,
    api_key: kept ? earlier.api_key : await setup.createKey(QUICKSTART_ACCOUNT),
    admin_token: adminToken,
    account_id: QUICKSTART_ACCOUNT,
  }
  writeQuickstart(dir, quickstart)
  return quickstart
}

/** How to buy where Stripe is played too. */
const buyText = ({ base_url: url, api_key: key }: Quickstart, thanksUrl: string): string => `
Buy credits (Stripe is played by the built-in demo, no money moves): open the "url" of the answer,
pay, and ask for the balance again. The monthly plan is "plan":"pro" in place of "pack":"starter".

  curl ${url}/farebox/v1/checkout \\
    -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" \\
    -d '{"pack":"starter","success_url":"${thanksUrl}","cancel_url":"${thanksUrl}"}'
`

/** What to paste next. `thanksUrl`: where buyers of the demo come back to; null = none. */
export function quickstartText(
  quickstart: Quickstart,
  model: string,
  demo: readonly string[],
  thanksUrl: string | null,
): string {
  const { base_url: url, api_key: key } = quickstart
  const note =
    demo.length === 0
      ? ''
      : `\nUpstreams played by the built-in demo (no model behind it): ${demo.join(', ')}.
Set OPENAI_API_KEY or ANTHROPIC_API_KEY to use the real ones.\n`
  return `
Farebox is ready at ${url}
${note}
Try it:

  curl ${url}/v1/chat/completions \\
    -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" \\
    -d '{"model":"${model}","messages":[{"role":"user","content":"Hello"}]}'

  // JavaScript: npm install openai
  import OpenAI from 'openai'
  const client = new OpenAI({ baseURL: '${url}/v1', apiKey: '${key}' })
  const answer = await client.chat.completions.create({
    model: '${model}', messages: [{ role: 'user', content: 'Hello' }],
  })

  # Python: pip install openai
  from openai import OpenAI
  client = OpenAI(base_url="${url}/v1", api_key="${key}")
  answer = client.chat.completions.create(
    model="${model}", messages=[{"role": "user", "content": "Hello"}])

What it cost:

  curl ${url}/farebox/v1/balance -H "Authorization: Bearer ${key}"
  curl ${url}/farebox/v1/usage   -H "Authorization: Bearer ${key}"
${thanksUrl === null ? '' : buyText(quickstart, thanksUrl)}
Key, admin token and account are in ${DATA_DIR}/quickstart.json.
`
}
