import OpenAI, { APIError } from 'openai'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startMailbox, type Mailbox } from '../notify/receivers.ts'
import { findChromium, startBrowser, visit } from '../support/browser.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { freePort } from '../support/servers.ts'
import { freshDatabase, redisUrl, type FreshDatabase } from '../support/stores.ts'
import { startStripeProcess, type StripeProcess } from '../support/stripe-process.ts'
import { until } from '../support/until.ts'
import { chatAnswer } from './support/answers.ts'
import { answerJson, startUpstream, type FakeUpstream } from './support/upstream.ts'

const MODEL = 'gpt-story'
/** 0.01 credits for a token in, 0.1 for one out: a call costs 3 credits. */
const TOKENS = { input: 10, output: 29 }
const CALL = 3
const STARTER = 10
const REFILL = 30
const SUBJECT = 'user-1'
const EMAIL = 'buyer@example.com'
/** The browser and three processes share two cores with another test file. */
const SOON_MS = 60_000

const opened = z.object({ id: z.string(), account_id: z.string(), url: z.string() })
const link = z.object({ url: z.string() })
const listed = z.object({ data: z.array(z.looseObject({ id: z.string() })) })
const recharge = z.looseObject({ state: z.string() })
const entry = z.looseObject({ movement_type: z.string(), reference_id: z.string().nullable() })
const ledger = z.object({ data: z.array(entry) })

const executable = findChromium()

/** Everything is what its users have: Stripe is the simulator, money and mail go nowhere. */
describe.skipIf(executable === null)(
  'a customer, from the first purchase to a debt repaid',
  { timeout: 180_000 },
  () => {
    let browser: Browser
    let sim: StripeProcess
    let mailbox: Mailbox
    let upstream: FakeUpstream
    let database: FreshDatabase
    let gateway: Gateway
    let backendKey = ''
    let accountId = ''
    let apiKey = ''
    let claimUrl = ''
    let calls = 0

    const priceOf = async (name: string, unit_amount: number): Promise<string> => {
      const product_data = { name }
      return (await sim.stripe.prices.create({ currency: 'usd', unit_amount, product_data })).id
    }

    async function configuration(publicUrl: string): Promise<Record<string, unknown>> {
      const issue_key = { name: 'Starter', models: ['gpt-*'] }
      const prices = [await priceOf('Starter', 1_000), await priceOf('Refill', 3_000)]
      return {
        public_url: publicUrl,
        top_up_url: 'https://shop.example/credits',
        credits: { per_usd: 100, markup: '1' },
        upstreams: { demo: { protocol: 'openai', base_url: `${upstream.url}/v1`, api_key: 'up' } },
        prices: [
          {
            ...{ upstream: 'demo', model: '*' },
            ...{ input_usd_per_mtok: '100', output_usd_per_mtok: '1000' },
          },
        ],
        packs: [
          { id: 'starter', stripe_price: prices[0], credits: STARTER, issue_key },
          { id: 'refill', stripe_price: prices[1], credits: REFILL },
        ],
        notify: { smtp_url: mailbox.url, from: 'shop@example.com' },
      }
    }

    beforeAll(async () => {
      ;[sim, mailbox, upstream, database] = await Promise.all([
        startStripeProcess(),
        startMailbox(),
        startUpstream(),
        freshDatabase(),
      ])
      upstream.on(MODEL, (call) => {
        answerJson(call, chatAnswer(MODEL, 'As you say.', TOKENS))
      })
      const start = async (port: number): Promise<Gateway> =>
        startGateway({
          databaseUrl: database.url,
          redisUrl: redisUrl(),
          config: await configuration(`http://127.0.0.1:${port}`),
          env: {
            PORT: String(port),
            STRIPE_SECRET_KEY: 'sk_test_x',
            STRIPE_WEBHOOK_SECRET: sim.webhookSecret,
            STRIPE_API_BASE: sim.url,
          },
        })
      // The port is in its links, so it is chosen first; somebody else may take it meanwhile.
      gateway = await start(await freePort()).catch(async () => start(await freePort()))
      await sim.control('demo-shop', { url: `${gateway.url}/webhooks/stripe` })
      browser = await startBrowser(executable ?? '')
      const made = await gateway.admin.call('POST', '/admin/v1/backend-keys', { name: 'shop' })
      backendKey = z.object({ key: z.string() }).parse(await made.json()).key
    })
    afterAll(async () => {
      await browser.close()
      await gateway.end()
      await upstream.close()
      await mailbox[Symbol.asyncDispose]()
      await sim.stop()
      await database.drop()
    })

    async function api(token: string, method: string, path: string, body?: object) {
      const answer = await fetch(`${gateway.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: answer.status, body: await answer.json() }
    }
    const admin = async (path: string): Promise<unknown> =>
      (await gateway.admin.call('GET', `/admin/v1${path}`)).json()
    const listOf = async (path: string) => listed.parse(await admin(path)).data
    const ownKeys = () => listOf(`/accounts/${accountId}/keys`)
    const urls = () => ({ success_url: `${sim.url}/thank-you`, cancel_url: `${sim.url}/thank-you` })

    /** Somebody with a browser pays on Stripe's page, and comes back to the shop. */
    async function payOn(url: string): Promise<void> {
      await using there = await visit(browser, { javaScript: true })
      await there.page.goto(url)
      await there.page.getByLabel('Pay with').selectOption('pm_card_visa')
      await there.page.getByRole('button', { name: 'Pay', exact: true }).click()
      await there.page.waitForURL('**/thank-you')
      expect(await there.page.locator('h1').innerText()).toContain('Thank you')
    }
    async function buy(token: string, item: object) {
      const asked = await api(token, 'POST', '/farebox/v1/checkout', { ...item, ...urls() })
      expect(asked.status).toBe(201)
      const checkout = opened.parse(asked.body)
      await payOn(checkout.url)
      await until(async () => {
        const { body } = await api(token, 'GET', `/farebox/v1/checkout/${checkout.id}`)
        expect(body).toMatchObject({ state: 'granted' })
        return true
      }, SOON_MS)
      return checkout
    }

    /** What the application does, as its developer wrote it. */
    async function chat(key = apiKey): Promise<string | null | undefined> {
      const client = new OpenAI({ apiKey: key, baseURL: `${gateway.url}/v1`, maxRetries: 0 })
      const answer = await client.chat.completions.create({
        model: MODEL,
        max_completion_tokens: TOKENS.output,
        messages: [{ role: 'user', content: 'Hi' }],
      })
      calls += 1
      return answer.choices[0]?.message.content
    }
    const refusal = async (key = apiKey): Promise<APIError> => {
      const reason: unknown = await chat(key).then(
        () => 'answered',
        (error: unknown) => error,
      )
      if (!(reason instanceof APIError)) throw new Error(`not refused: ${String(reason)}`)
      return reason
    }
    const balance = async () => {
      const { posted, debt, available } = await gateway.admin.balance(apiKey)
      return [posted, debt, available].map(({ credits }) => Number(credits))
    }
    const has = (posted: number, debt = 0) =>
      until(async () => {
        expect(await balance()).toEqual([posted, debt, posted])
        return true
      }, SOON_MS)
    const payments = async () => {
      const { data } = await sim.stripe.paymentIntents.list({ limit: 100 })
      return data.map(({ amount, status }) => `${status} ${amount}`).sort()
    }

    it('buys a pack on the page of Stripe, sent there by a server that knows no account', async () => {
      const bought = await buy(backendKey, {
        ...{ pack: 'starter', subject_ref: SUBJECT, email: EMAIL },
      })
      accountId = bought.account_id
      const mail = await until(() => mailbox.mails.find((one) => one.includes('/claim/')), SOON_MS)
      expect(mail).toContain(`To: ${EMAIL}`)
      expect(mail).not.toContain('fb_test_')
      claimUrl = /http:\S+\/claim\/[\w-]{43}/.exec(mail)?.[0] ?? ''
      expect(claimUrl).toContain(gateway.url)
    })

    it('has a link that reveals nothing to who only follows it', async () => {
      for (const method of ['HEAD', 'GET', 'HEAD', 'GET']) {
        const headers = { 'user-agent': 'Slackbot-LinkExpanding 1.0' }
        const answer = await fetch(claimUrl, { method, headers })
        expect([answer.status, answer.headers.get('x-robots-tag')]).toEqual([
          200,
          'noindex, nofollow',
        ])
        expect(await answer.text()).not.toContain('fb_test_')
      }
      await using there = await visit(browser, { javaScript: true })
      await there.page.goto(claimUrl)
      await there.page.reload()
      expect(await there.page.content()).not.toContain('fb_test_')
      expect(await ownKeys()).toEqual([])
    })

    it('presses the button, without script, and has the key', async () => {
      await using there = await visit(browser, { javaScript: false })
      await there.page.goto(claimUrl)
      await there.page.getByRole('button', { name: 'Show my key' }).click()
      apiKey = await there.page.locator('code.key').innerText()
      expect(apiKey).toMatch(/^fb_test_[\w-]{43}$/)
      expect(await ownKeys()).toMatchObject([{ name: 'Starter', models: ['gpt-*'] }])
      expect(there.asked).toEqual([claimUrl, claimUrl]) // and nothing else was loaded
      expect(there.complaints).toEqual([])
    })

    it('is told at a second opening that the key was shown', async () => {
      for (const javaScript of [true, false]) {
        await using there = await visit(browser, { javaScript })
        const answer = await there.page.goto(claimUrl)
        expect(answer?.status()).toBe(410)
        expect(await there.page.locator('h1').innerText()).toBe('This key was already shown')
        expect(await there.page.getByRole('button').count()).toBe(0)
        expect(await there.page.content()).not.toContain(apiKey)
      }
    })

    it('loses the key, and its server asks for a link that replaces it', async () => {
      const [claim] = await listOf(`/accounts/${accountId}/claims`)
      const asked = { subject_ref: SUBJECT, rotate: true, claim_id: claim?.id }
      const made = await api(backendKey, 'POST', '/farebox/v1/claims', asked)
      expect(made.status).toBe(201)
      const lost = apiKey
      await using there = await visit(browser, { javaScript: true })
      await there.page.goto(link.parse(made.body).url)
      await there.page.getByRole('button', { name: 'Show my key' }).click()
      apiKey = await there.page.locator('code.key').innerText()
      expect(apiKey).not.toBe(lost)
      expect(there.complaints).toEqual([]) // nothing that its security policy had to refuse
      expect(await ownKeys()).toHaveLength(1)
      await until(async () => (await refusal(lost)).status === 401, SOON_MS)
    })

    it('spends the credits by its SDK until a call is refused with 402', async () => {
      expect(await chat()).toBe('As you say.')
      await has(STARTER - CALL)
      const refused = await until(() => refusal().catch(() => null), SOON_MS)
      expect(refused.status).toBe(402)
      expect(refused.message).toContain('https://shop.example/credits')
      expect(calls).toBeGreaterThan(1)
      await has(STARTER - calls * CALL)
    })

    it('leaves a card and allows one recharge a month: the call passes', async () => {
      const setup = await api(apiKey, 'POST', '/farebox/v1/recharge/setup', urls())
      expect(setup.status).toBe(201)
      await payOn(link.parse(setup.body).url)
      const asked = { enabled: true, pack: 'refill', threshold: '5', monthly_count: 1 }
      const more = { return_url: `${sim.url}/thank-you` }
      const on = await until(async () => {
        const answer = await api(apiKey, 'PUT', '/farebox/v1/recharge', { ...asked, ...more })
        return answer.status === 200 && recharge.parse(answer.body)
      }, SOON_MS)
      expect(on.state).toBe('on')
      await has(STARTER + REFILL - calls * CALL)
      expect(await chat()).toBe('As you say.')
      await has(STARTER + REFILL - calls * CALL)
      expect(await payments()).toEqual(['succeeded 1000', 'succeeded 3000'])
    })

    it('gets its money back, owes what it has spent, and is blocked', async () => {
      const { data } = await sim.stripe.paymentIntents.list({ limit: 100 })
      for (const { id } of data) await sim.stripe.refunds.create({ payment_intent: id })
      await has(-calls * CALL, calls * CALL)
      expect((await refusal()).status).toBe(402)
      const asked = { subject_ref: SUBJECT, credits: '1' }
      const { body } = await api(backendKey, 'POST', '/v1/access/check', asked)
      expect(body).toMatchObject({ allowed: false })
    })

    it('buys again: the debt is repaid first, and the call passes', async () => {
      const owed = calls * CALL
      await buy(apiKey, { pack: 'refill' })
      await has(REFILL - owed)
      expect(await chat()).toBe('As you say.')
      await has(REFILL - owed - CALL)
      const allowed = await api(backendKey, 'POST', '/v1/access/check', { subject_ref: SUBJECT })
      expect(allowed.body).toMatchObject({ allowed: true })
    })

    it('was charged and told once for each, and the books are sound', async () => {
      await sim.control('idle')
      expect(await payments()).toEqual(['succeeded 1000', 'succeeded 3000', 'succeeded 3000'])
      const rows = ledger.parse(await admin(`/accounts/${accountId}/ledger?limit=200`)).data
      // One of them has two entries: what repaid the debt, and what is left of it.
      const grants = rows.filter(({ movement_type: type }) => type === 'grant')
      expect(new Set(grants.map((one) => one.reference_id)).size).toBe(3)
      const told = (subject: string) =>
        mailbox.mails.filter((mail) => mail.includes(`\nSubject: ${subject}\n`)).length
      await until(() => told('Credits received') >= 3, SOON_MS)
      expect([told('Your API key is ready'), told('Credits received')]).toEqual([1, 3])
      const verified = await gateway.admin.call('POST', '/admin/v1/verify')
      expect(await verified.json()).toMatchObject({ ok: true, breaches: [] })
      expect(await admin('/stripe/events?state=dead')).toMatchObject({ data: [] })
      // How long things took says nothing here: the machine is shared, Stripe's clock is moved.
      const findings = await listOf('/findings?state=any')
      const isOfTime = /^stripe_(processing_late|usable_late|events_waiting|deliveries_)/
      expect(findings.filter(({ kind }) => !isOfTime.test(String(kind)))).toEqual([])
    })
  },
)
