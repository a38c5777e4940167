import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CliDeps } from '../../src/app/cli/context.ts'
import { marginAnswer } from '../../src/admin/margins.ts'
import { micros } from '../../src/kernel/money.ts'
import { ADMIN_TOKEN, aCustomer, makeWorld, openHold, type World } from '../admin/world.ts'
import { runAt } from './support.ts'

let world: World
let url: string
beforeAll(async () => {
  world = await makeWorld()
  url = await world.app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await world.close()
})

const farebox = (args: readonly string[], over: Partial<CliDeps> = {}) => runAt(url, args, over)

const json = (text: string): unknown => JSON.parse(text)

describe('the command line', () => {
  it('makes an account, grants, makes a key, and shows all of it', async () => {
    const made = await farebox(['accounts', 'create', 'Ada', '--id', 'acct_cli', '--subject', 'u1'])
    expect(made).toMatchObject({ code: 0, err: '' })
    expect(made.out).toMatch(/^id +acct_cli$/m)
    const granted = await farebox([
      'grant',
      'acct_cli',
      '12.5',
      '--kind',
      'paid',
      '--reference',
      'g1',
    ])
    expect(granted.out).toMatch(/^granted +12.5$/m)
    const create = ['keys', 'create', 'acct_cli', 'app', '--json']
    const key = await farebox([...create, '--budget', '5', '--tokens-per-minute', '9000'])
    expect(json(key.out)).toMatchObject({
      budget: { credits: '5', period: 'total' },
      rate: { requests_per_minute: null, tokens_per_minute: 9_000 },
    })
    const past = await farebox(['grant', 'acct_cli', '9007199254', '--reference', 'past'])
    expect(past).toMatchObject({ code: 1, out: '' })
    expect(past.err).toContain('9007199242.240991 would fit')
    expect((await farebox(['accounts'])).out).toMatch(/^acct_cli +Ada +u1 +active +12.5 +0$/m)
    expect((await farebox(['accounts', 'show', 'acct_cli'])).out).toMatch(/^available +12.5$/m)
    expect((await farebox(['keys', 'list', 'acct_cli'])).out).toContain('5 a total')
    expect((await farebox(['ledger', 'acct_cli'])).out).toMatch(/grant +12.5 +lot +g1/)
  })

  it('says so where there is no such account, and answers none for it', async () => {
    const said = { code: 1, out: '', err: 'farebox: There is no account acct_none. (not_found)' }
    const { operations } = world
    const here = {
      openLocal: () => Promise.resolve({ operations, close: () => Promise.resolve() }),
    }
    for (const command of ['verify', 'rebuild']) {
      const args = [command, '--account', 'acct_none']
      expect(await farebox(args)).toEqual(said)
      expect(await farebox(args, { ...here, url: null })).toEqual(said)
    }
    expect(await farebox(['keys', 'list', 'acct_none'])).toEqual(said)
  })

  it('names what is wrong in the words that were typed', async () => {
    const key = ['keys', 'create', 'acct_cli', 'x', '--tokens-per-minute', 'abc']
    const noNumber = { code: 2, err: 'farebox: --tokens-per-minute: must be a number' }
    expect(await farebox(key)).toMatchObject(noNumber)
    const { err } = await farebox(['grant', 'acct_cli', '99999999999999999999'])
    expect(err).toContain('credits: must be at most 9007199254.740991 credits')
  })

  it('freezes and unfreezes', async () => {
    const { accountId } = await aCustomer(world)
    const frozen = await farebox(['accounts', 'freeze', accountId, '--reason', 'fraud'])
    expect(frozen.out).toMatch(/^status +frozen \(fraud\)$/m)
    expect((await farebox(['accounts', 'unfreeze', accountId])).out).toMatch(/^status +active$/m)
    expect((await farebox(['accounts', 'freeze', accountId])).code).toBe(2)
  })

  it('shows a receipt in flight and posted, and reverses it once', async () => {
    const customer = await aCustomer(world)
    const { holdId, settle } = await openHold(world, customer, 2_000_000)
    const inFlight = await farebox(['receipt', holdId, '--account', customer.accountId])
    expect(inFlight.out).toMatch(/^held +2$/m)
    await settle(1_000_000)
    const posted = await farebox(['receipt', holdId])
    expect(posted.out).toMatch(/^cost +1$/m)
    expect(posted.out).toMatch(/^provider cost +\$0.00123$/m)
    const reversed = await farebox(['reverse', holdId, '--reason', 'bad'])
    expect(reversed).toMatchObject({ code: 0, out: 'Gave back 1 credits.' })
    expect((await farebox(['reverse', holdId, '--reason', 'bad'])).out).toContain('before')
  })

  it('shows margins, the losing ones first, as text, JSON and CSV', async () => {
    const customer = await aCustomer(world)
    await (await openHold(world, customer, 2_000_000)).settle(100_000)
    const loser = await aCustomer(world, '0')
    await world.books.grant(
      {
        ...{ accountId: loser.accountId, micros: micros(5_000_000), kind: 'promo', priority: 0 },
        ...{ effectiveAtMs: null, expiresAtMs: null, reason: 'trial' },
        ...{ referenceType: 'test', referenceId: 'trial' },
      },
      Date.now(),
    )
    await (await openHold(world, loser, 2_000_000)).settle(500_000)
    const all = await farebox(['margins', '--by', 'account', '--limit', '200'])
    // 0.1 credits are $0.001, less than the $0.00123 they cost.
    const earned = '0.0010 +0.0012 +-0.0002 +-23.00 +loses'
    expect(all.out).toMatch(new RegExp(`^${customer.accountId} +1 +0.1 +${earned}$`, 'm'))
    expect(all.out).toContain('Promo credits paid $0.0050 of it: no revenue.')
    const losing = await farebox(['margins', '--losing', '--json', '--limit', '200'])
    const { data, others, total } = marginAnswer.parse(json(losing.out))
    expect(data.find(({ name }) => name === loser.accountId)).toMatchObject({
      ...{ revenue_usd: '0', margin_usd: '-0.00123', margin_percent: null },
    })
    expect(data.at(-1)).toMatchObject({ name: customer.accountId, margin_usd: '-0.00023' })
    expect(data.every((one) => one.losing)).toBe(true)
    expect(data.reduce((sum, one) => sum + one.requests, others.requests)).toBe(total.requests)
    const csv = await farebox(['margins', '--by', 'model', '--csv'])
    expect(csv.out).toMatch(/^name,requests,.*\ngpt-4o,\d+,.*\n\(total\),\d+,/)
    const past = await farebox(['margins', '--since', '2020-01-01', '--until', '2020-02-01'])
    expect(past.out).toMatch(/^No requests from 2020-01-01T/)
    for (const wrong of [
      ['--by', 'moon'],
      ['--since', 'x'],
      ['--until', '2001-01-01', '--since', '2002-01-01'],
      ['--since', '1990-01-01'],
    ]) {
      expect(await farebox(['margins', ...wrong])).toMatchObject({ code: 1, out: '' })
    }
  })

  it('adjusts up and down, once a reference', async () => {
    const { accountId } = await aCustomer(world)
    const adjust = (credits: string, reference: string) =>
      farebox(['adjust', accountId, credits, '--reason', 'goodwill', '--reference', reference])
    expect((await adjust('2.5', 'up')).out).toBe('Moved 2.5 credits.')
    expect((await adjust('2.5', 'up')).out).toMatch(/^Was done before: 2.5 credits/)
    expect((await adjust('-1', 'down')).out).toBe('Moved -1 credits.')
    expect((await farebox(['ledger', accountId])).out).toMatch(/adjustment +-1 /)
    expect((await farebox(['adjust', accountId, '1'])).code).toBe(2)
  })

  it('shows what needs a person', async () => {
    const id = world.ids.uuid()
    const note = `${'x'.repeat(200)}\u001b[2J`
    const evidence = { stripe: 'paid 1000 usd', ledger: { lots: [1, 2] }, none: null, note }
    await world.db.query(
      `INSERT INTO findings (id, kind, severity, subject, evidence, first_seen, last_seen)
       VALUES ($1, 'paid_not_granted', 'urgent', 'pi_cli', $3, $2, $2)`,
      [id, new Date('2026-11-21T20:09:12.345Z'), JSON.stringify(evidence)],
    )
    const { out } = await farebox(['findings'])
    expect(out).toMatch(/urgent +paid_not_granted +pi_cli +open/)
    const row = out.split('\n').find((line) => line.includes('pi_cli'))
    expect(row).toMatch(/^2026-11-21 20:09:12 +2026-11-21 20:09:12 /)
    // All that fits, without what would move the cursor of who reads it.
    expect(row).toMatch(
      new RegExp(`${id}  stripe=paid 1000 usd ledger={"lots":\\[1,2\\]} note=x+…$`),
    )
    expect(row).not.toContain('\u001b')
    const shown = (await farebox(['findings', 'show', id])).out
    for (const line of [/^kind +paid_not_granted$/m, /^first seen +2026-11-21 20:09:12$/m]) {
      expect(shown).toMatch(line)
    }
    expect(shown).toMatch(/^ {2}stripe +paid 1000 usd$/m)
    expect(shown).toMatch(/^ {2}ledger +{"lots":\[1,2\]}$/m)
    expect(shown).toMatch(/^ {2}note +x{200}\?\[2J$/m)
    expect(json((await farebox(['findings', 'show', id, '--json'])).out)).toMatchObject({
      ...{ id, evidence, direction: null },
    })
    expect(await farebox(['findings', 'show', world.ids.uuid()])).toMatchObject({ code: 1 })
    const compared = await farebox(['reconcile'])
    expect(compared.code).toBe(1) // something urgent is open
    expect(compared.out).toMatch(/FIRST SEEN +LAST SEEN +ID +EVIDENCE$/m)
    expect(compared.out.split('\n').find((line) => line.includes('pi_cli'))).toContain(
      `–        2026-11-21 20:09:12  2026-11-21 20:09:12  ${id}  stripe=paid 1000 usd`,
    )
    expect((await farebox(['findings', '--state', 'fixed'])).out).toBe('No findings.')
  })

  it('shows which price rules, and overrides it', async () => {
    const which = ['prices', '--upstream', 'openai', '--model', 'gpt-4o']
    expect((await farebox(which)).out).toMatch(/^rules +seed/m)
    const entry = {
      upstream: 'openai',
      model: 'gpt-4o',
      input_usd_per_mtok: '1',
      output_usd_per_mtok: '2',
    }
    const put = await farebox(['prices', '--put', JSON.stringify({ kind: 'cost', entry })])
    expect(put).toMatchObject({ code: 0, out: expect.stringMatching(/^admin:/) as string })
    expect((await farebox(which)).out).toMatch(/^rules +admin/m)
    expect((await farebox(['prices'])).out).toMatch(/^cost +admin +openai +gpt-4o$/m)
  })

  it('verifies: 0 when all is well, 1 with evidence on a breach', async () => {
    const { accountId } = await aCustomer(world)
    const well = await farebox(['verify'])
    expect(well).toMatchObject({ code: 0 })
    expect(well.out).toContain('All invariants hold')
    const off = 'UPDATE accounts SET debt_micros = debt_micros + 1 WHERE id = $1'
    await world.db.query(off, [accountId])
    const broken = await farebox(['verify', '--account', accountId, '--json'])
    expect(broken.code).toBe(1)
    expect(json(broken.out)).toMatchObject({ ok: false, breaches: [{ invariant: 'I1' }] })
    await world.db.query(off.replace('+ 1', '- 1'), [accountId])
  })

  it('recovers, rebuilds and asks the doctor through the running server', async () => {
    expect(await farebox(['recover'])).toMatchObject({ code: 0, out: 'Ended 0 holds; 0 left.' })
    expect((await farebox(['rebuild'])).out).toMatch(
      /^Loaded \d+ accounts and \d+ keys; 0 failed.$/,
    )
    const doctor = await farebox(['doctor'])
    expect(doctor.out).toMatch(/^OK +redis eviction +noeviction +–$/m)
  })
})

describe('what goes wrong', () => {
  it('is told in one line, with 1 for a refusal', async () => {
    const missing = await farebox(['accounts', 'show', 'nobody'])
    expect(missing).toMatchObject({ code: 1, out: '' })
    expect(missing.err).toBe('farebox: There is no account nobody. (not_found)')
    const token = await farebox(['accounts'], { adminToken: 'wrong' })
    expect(token).toMatchObject({ code: 1, err: expect.stringContaining('token') as string })
  })

  it.each([
    [['nonsense']],
    [['grant', 'acct_cli']],
    [['grant', 'acct_cli', '1', '--kind', 'gift']],
    [['prices', '--model', 'x']],
    [['prices', '--put', '{']],
    [['migrate']],
  ])('is 2 for wrong use: %j', async (args) => {
    const answer = await farebox(args)
    expect(answer.code).toBe(2)
    expect(answer.err).not.toBe('')
  })

  it('is 0 for help', async () => {
    const help = await farebox(['--help'])
    expect(help.code).toBe(0)
    expect(help.out).toContain('verify')
  })

  it('names a grant before it is sent, so that it can be repeated safely', async () => {
    const away = await farebox(['grant', 'acct_cli', '1'], { url: 'http://127.0.0.1:9' })
    expect(away).toMatchObject({ code: 1 })
    expect(away.err).toContain('reference: made-up-reference')
    expect(away.err).toContain('no server answers at http://127.0.0.1:9')
  })
})

describe('stripe setup', () => {
  const step = { kind: 'price', name: 'starter', id: 'price_1', todo: '' } as const
  const setUp = (action: 'created' | 'differs') => {
    const asked: unknown[] = []
    const over: Partial<CliDeps> = {
      setUpStripe(options) {
        asked.push(options)
        const environment = { STRIPE_PRICE_STARTER: 'price_1' }
        return Promise.resolve({ steps: [{ ...step, action }], environment })
      },
    }
    return { asked, over }
  }

  it('passes on where Stripe reaches this, and prints what to set', async () => {
    const { asked, over } = setUp('created')
    const args = ['stripe', 'setup', '--public-url', 'https://f.example', '--dry-run']
    const { code, out } = await farebox(args, over)
    expect(asked).toEqual([{ url: 'https://f.example', isDryRun: true, isLive: false }])
    expect(code).toBe(0)
    expect(out).toContain('STRIPE_PRICE_STARTER=price_1')
    expect((await farebox(['stripe', 'setup'], setUp('differs').over)).code).toBe(1)
    expect((await farebox(['stripe', 'setup', '--public-url', 'x'], over)).code).toBe(2)
  })
})

describe('where no server runs', () => {
  const openLocal = () => {
    const state = { closed: false }
    const local = {
      operations: world.operations,
      close: () => {
        state.closed = true
        return Promise.resolve()
      },
    }
    return { state, open: () => Promise.resolve(local) }
  }
  const dead = { base_url: 'http://127.0.0.1:9', admin_token: ADMIN_TOKEN }

  it('verify and the like open the stores themselves, and close them', async () => {
    const { state, open } = openLocal()
    const over = { url: null, adminToken: null, openLocal: open }
    expect(await farebox(['verify'], over)).toMatchObject({ code: 0 })
    expect(state.closed).toBe(true)
    expect(await farebox(['doctor'], { ...over, quickstart: dead })).toMatchObject({ err: '' })
  })

  it('but not in place of a server that was named', async () => {
    const { state, open } = openLocal()
    const over = { url: 'http://127.0.0.1:9', openLocal: open }
    expect(await farebox(['verify'], over)).toMatchObject({ code: 1 })
    const byOption = await farebox(['--url', 'http://127.0.0.1:9', 'verify'], {
      ...over,
      url: null,
    })
    expect(byOption.code).toBe(1)
    expect(state.closed).toBe(false)
  })

  it('migrate tells what it applied', async () => {
    const migrate = () => Promise.resolve({ applied: ['0001-core'] })
    expect(await farebox(['migrate'], { migrate })).toMatchObject({
      code: 0,
      out: 'Applied 0001-core.',
    })
  })

  it('the server that serve left in this folder is found', async () => {
    const quickstart = { base_url: url, admin_token: ADMIN_TOKEN }
    const found = await farebox(['accounts'], { url: null, adminToken: null, quickstart })
    expect(found.code).toBe(0)
  })
})
