import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { makeAdmin } from '../support/admin.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

const fileSchema = z.object({
  base_url: z.string(),
  api_key: z.string(),
  admin_token: z.string(),
  account_id: z.string(),
})

const messages = [{ role: 'user' as const, content: 'Hello' }]

describe('quickstart', () => {
  let dir: string
  let gateway: Gateway
  const start = (env: Record<string, string> = {}): Promise<Gateway> =>
    startGateway({ dir, env: { FAREBOX_ADMIN_TOKEN: '', ...env } })
  const file = () =>
    fileSchema.parse(JSON.parse(readFileSync(join(dir, '.farebox/quickstart.json'), 'utf8')))

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'farebox-quickstart-'))
    gateway = await start()
    await until(() => gateway.output().includes('quickstart.json'))
  })
  afterAll(async () => {
    await gateway.end()
    rmSync(dir, { recursive: true, force: true })
  })

  it('prints what to paste and keeps it in a file that only its owner reads', () => {
    const { base_url, api_key } = file()
    expect(base_url).toBe(gateway.url)
    expect(statSync(join(dir, '.farebox/quickstart.json')).mode & 0o777).toBe(0o600)
    for (const part of [`curl ${base_url}`, 'import OpenAI', 'from openai import', api_key]) {
      expect(gateway.output()).toContain(part)
    }
  })

  it('answers both SDKs by a labelled demo and charges them', async () => {
    const { api_key: apiKey, admin_token: token } = file()
    const openai = new OpenAI({ apiKey, baseURL: `${gateway.url}/v1` })
    const anthropic = new Anthropic({ apiKey, baseURL: gateway.url })
    const admin = makeAdmin(gateway.url, token)
    const before = (await admin.balance(apiKey)).available.micros

    const chat = await openai.chat.completions.create({ model: 'gpt-4o-mini', messages })
    expect(chat.choices[0]?.message.content).toContain('demo')
    const stream = await openai.chat.completions.create({
      model: 'gpt-4o-mini',
      messages,
      stream: true,
    })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).toContain('demo')
    const message = await anthropic.messages.create({
      model: 'claude-sonnet-4-5',
      max_tokens: 64,
      messages,
    })
    expect(message.usage.output_tokens).toBeGreaterThan(0)
    expect((await admin.balance(apiKey)).available.micros).toBeLessThan(before)
  })

  /** Runs the line that is printed for buyers, and pays on the page that it leads to. */
  async function buy(item: object): Promise<string> {
    const { api_key: key } = file()
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const back = /"success_url":"([^"]+)"/.exec(gateway.output())?.[1] ?? ''
    const answer = await fetch(`${gateway.url}/farebox/v1/checkout`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ ...item, success_url: back, cancel_url: back }),
    })
    const { url } = z.object({ url: z.url() }).parse(await answer.json())
    expect(await (await fetch(url)).text()).toContain('No money moves')
    const paid = await fetch(url, { method: 'POST', body: 'method=pm_card_visa' })
    expect(paid.url).toBe(back)
    return paid.text()
  }
  const posted = async (): Promise<number> => {
    const { admin_token: token, api_key: key } = file()
    return (await makeAdmin(gateway.url, token).balance(key)).posted.micros
  }

  it('sells demo credits and a demo plan on a page, and the balance rises', async () => {
    expect(gateway.output()).toContain('"pack":"starter"')
    const before = await posted()
    expect(await buy({ pack: 'starter' })).toContain('Thank you')
    await until(async () => (await posted()) === before + 1_000_000_000)
    await buy({ plan: 'pro' })
    await until(async () => (await posted()) === before + 3_500_000_000)
  })

  it('keeps account, key and charges over a second start', async () => {
    const first = file()
    const spent = (await makeAdmin(gateway.url, first.admin_token).balance(first.api_key)).available
    expect(await gateway.end()).toBe(0)
    gateway = await start()
    await until(() => gateway.output().includes('quickstart.json'))
    const second = file()
    expect(second).toEqual({ ...first, base_url: gateway.url })
    const now = (await makeAdmin(gateway.url, second.admin_token).balance(second.api_key)).available
    expect(now).toEqual(spent)
    // The demo's Stripe has forgotten its customers; the account buys on.
    const before = await posted()
    await buy({ pack: 'starter' })
    await until(async () => (await posted()) === before + 1_000_000_000)
  })

  it('says what is used instead where something is configured', async () => {
    const configured = mkdtempSync(join(tmpdir(), 'farebox-configured-'))
    const left = 'not a quickstart any more'
    const plain = await startGateway({ dir: configured, config: {} })
    expect(plain.output()).not.toContain(left)
    expect(await plain.end()).toBe(0)
    writeFileSync(join(configured, '.farebox/quickstart.json'), JSON.stringify(file()))
    const openai = { protocol: 'openai', base_url: 'http://127.0.0.1:9/v1' }
    const ruled = await startGateway({ dir: configured, config: { upstreams: { openai } } })
    const lines = ruled
      .output()
      .split('\n')
      .filter((line) => line.includes(left))
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      upstreams: 'openai',
      data: '.farebox',
      admin_api: 'on',
      msg: `${left}: the demo's upstreams, its Stripe and its admin token are not in use`,
    })
    expect(await ruled.end()).toBe(0)
    const bare = await startGateway({
      ...{ dir: configured, config: {}, env: { FAREBOX_ADMIN_TOKEN: '' } },
    })
    expect(bare.output()).toContain('"upstreams":"none","data":".farebox","admin_api":"off"')
    expect(await bare.end()).toBe(0)
    rmSync(configured, { recursive: true, force: true })
  })

  it('says so where the port is taken', async () => {
    const taken = createServer()
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, '127.0.0.1', () => {
        const address = taken.address()
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
    const elsewhere = mkdtempSync(join(tmpdir(), 'farebox-taken-'))
    await expect(startGateway({ dir: elsewhere, env: { PORT: String(port) } })).rejects.toThrow(
      `Port ${port}`,
    )
    taken.close()
    rmSync(elsewhere, { recursive: true, force: true })
  })
})
