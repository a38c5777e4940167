import { afterEach, describe, expect, test } from 'vitest'
import {
  lines,
  makeAudit,
  nowRow,
  NOW_HEADING,
  OLD_HEADING,
  type SubscriptionRow,
} from './support.ts'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

async function files(texts: Readonly<Record<string, string | Buffer>>) {
  const made = await makeAudit(texts)
  open.push(made)
  return made
}

const APP = 'user_id,email,stripe_customer_id,plan,status'

/** One customer and one account that names it. */
async function pair(subscription: SubscriptionRow, app: string, notes?: string) {
  const made = await files({
    'stripe.csv': lines(NOW_HEADING, nowRow({ customer: 'cus_1', ...subscription })),
    'app.csv': lines(APP, app),
    ...(notes === undefined ? {} : { 'notes.csv': lines('subject,kind,until,note', notes) }),
  })
  return made.json()
}

const ACTIVE = 'u1,a@x.io,cus_1,pro,active'
const BLOCKED = 'u1,a@x.io,cus_1,pro,blocked'

describe('two exports of one customer', () => {
  test.each([
    ['active', ACTIVE, []],
    ['active', BLOCKED, ['urgent paid_but_blocked']],
    ['active', 'u1,a@x.io,cus_1,free,active', ['urgent paid_but_blocked']],
    ['trialing', ACTIVE, []],
    ['trialing', BLOCKED, ['review paid_but_blocked']],
    ['past_due', ACTIVE, []],
    ['past_due', BLOCKED, []],
    ['unpaid', ACTIVE, ['review unpaid_but_active']],
    ['paused', ACTIVE, ['review unpaid_but_active']],
    ['incomplete', ACTIVE, ['review unpaid_but_active']],
    ['incomplete_expired', ACTIVE, ['review unpaid_but_active']],
    ['canceled', ACTIVE, []], // paid until the end of its period
    ['canceled', BLOCKED, []],
    ['Past Due', BLOCKED, []],
    ['brand_new_status', ACTIVE, ['review ambiguous']],
  ])('%s in Stripe, "%s" in the program', async (status, app, kinds) => {
    const found = await pair({ status }, app)
    expect(found.kinds).toEqual(kinds)
    expect(found.code).toBe(kinds.some((kind) => kind.startsWith('urgent')) ? 1 : 0)
  })

  test('a period that is over ends what was canceled, and grace after its days', async () => {
    const over = { end: '2026-11-14 00:00' }
    expect((await pair({ status: 'canceled', ...over }, ACTIVE)).kinds).toEqual([
      'review unpaid_but_active',
    ])
    const start = '2026-10-31 23:59'
    expect((await pair({ status: 'past_due', start }, ACTIVE)).kinds).toEqual([
      'review unpaid_but_active',
    ])
  })

  test('a row of the program that is blocked by any of its columns is blocked', async () => {
    const stripe = lines(NOW_HEADING, nowRow({ status: 'active', customer: 'cus_1' }))
    for (const app of [
      lines('id,customer,is_active,banned', '1,cus_1,true,yes'),
      lines('id,customer,is_active,access_until', '1,cus_1,1,2026-11-14T00:00:00Z'),
      lines('id,customer,plan', '1,cus_1,Free'),
      lines('id,customer,has_access', '1,cus_1,'),
    ]) {
      const { kinds } = await (await files({ 'stripe.csv': stripe, 'app.csv': app })).json()
      expect(kinds, app).toEqual(['urgent paid_but_blocked'])
    }
  })
})

describe('what nobody can tell is for review, with its reason, and never urgent', () => {
  const paying = (fields: Partial<SubscriptionRow> = {}) =>
    nowRow({ status: 'active', customer: 'cus_1', email: 'a@x.io', ...fields })
  const judged = async (stripe: string[], ...app: string[]) =>
    (await files({ 'stripe.csv': lines(NOW_HEADING, ...stripe), 'app.csv': lines(...app) })).json()

  test.each([
    ['a plan that is not there', 'id,customer,plan', '1,cus_1,', /its plan is empty/],
    ['a plan that was never set', 'id,customer,plan', '1,cus_1,NULL', /its plan is empty/],
    [
      'an end in days of some country',
      'id,customer,access_until',
      '1,cus_1,3/4/2027',
      /"3\/4\/2027"/,
    ],
    [
      'the same beside a plan',
      'id,customer,plan,access_until',
      '1,cus_1,pro,3.4.27',
      /"3.4.27" is no time/,
    ],
    ['a word of its own', 'id,customer,status', '1,cus_1,gold', /"gold" is no word/],
  ])('%s', async (_, heading, row, reason) => {
    const found = await judged([paying()], heading, row)
    expect(found).toMatchObject({ code: 0, kinds: ['review ambiguous'] })
    expect(found.findings[0]?.detail).toMatch(reason)
    expect(found.findings[0]?.at_stake).toMatchObject({ amount: '20.00' })
  })

  test('another column that tells it rules', async () => {
    const heading = 'id,customer,plan,access_until,status'
    expect((await judged([paying()], heading, '1,cus_1,,3/4/2027,active')).kinds).toEqual([])
    for (const row of ['1,cus_1,,,blocked', '1,cus_1,,2026-11-14,active', '1,cus_1,free,,active']) {
      expect((await judged([paying()], heading, row)).kinds, row).toEqual([
        'urgent paid_but_blocked',
      ])
    }
    const until = await judged([paying()], 'id,customer,plan,access_until', '1,cus_1,,2027-01-01')
    expect(until.kinds).toEqual([])
  })

  test.each([
    ['blocked first', [BLOCKED, ACTIVE]],
    ['blocked last', [ACTIVE, BLOCKED]],
    ['blocked twice', [BLOCKED, ACTIVE, BLOCKED]],
  ])('an account whose rows contradict, %s', async (_, app) => {
    const found = await judged([paying()], APP, ...app)
    expect(found).toMatchObject({ code: 0, kinds: ['review ambiguous'] })
    expect(found.findings[0]?.detail).toContain('its rows say different things')
  })

  test('an account whose rows name two customers, of whom nobody is orphaned', async () => {
    const stripe = [paying(), paying({ customer: 'cus_2', email: 'b@x.io' })]
    const found = await judged(stripe, APP, BLOCKED, BLOCKED.replace('cus_1', 'cus_2'))
    expect(found.kinds).toEqual(['review ambiguous', 'review ambiguous'])
  })

  test('an account whose rows contradict and that is nobody’s customer', async () => {
    const found = await judged([paying()], APP, ACTIVE, 'u2,,,pro,active', 'u2,,,pro,blocked')
    expect(found.kinds).toEqual(['review ambiguous'])
  })

  test('customers who share an e-mail with each other and with one account', async () => {
    const stripe = [paying(), paying({ customer: 'cus_2' })]
    for (const access of ['active', 'blocked']) {
      const found = await judged(stripe, APP, `u1,a@x.io,,pro,${access}`)
      expect(found.code).toBe(0)
      expect(found.kinds).toEqual(Array.from({ length: 3 }, () => 'review ambiguous'))
      expect(found.findings.map(({ account }) => account)).toEqual(['u1', 'u1', 'u1'])
    }
    const named = await judged(stripe, APP, 'u1,a@x.io,cus_1,pro,active')
    expect(named.kinds).toEqual(['urgent orphaned'])
  })

  test('a subscription that the export tells twice, differently', async () => {
    const row = { id: 'sub_a', customer: 'cus_1' }
    const found = await judged([paying(row), paying({ ...row, status: 'unpaid' })], APP, BLOCKED)
    expect(found.code).toBe(0)
    expect(found.kinds).toEqual(['review ambiguous', 'review paid_but_blocked'])
  })
})

describe('exceptions of the notes file', () => {
  test.each([
    ['comped', 'unpaid', ACTIVE],
    ['trial', 'unpaid', ACTIVE],
    ['grace', 'unpaid', ACTIVE],
    ['ignore', 'unpaid', ACTIVE],
    ['blocked', 'active', BLOCKED],
  ])('%s explains %s while it stands, and not a day longer', async (kind, status, app) => {
    for (const subject of ['u1', 'cus_1', 'A@X.io']) {
      const stands = await pair({ status }, app, `${subject},${kind},2026-11-15,friend`)
      expect(stands).toMatchObject({ code: 0, kinds: [] })
      expect(JSON.stringify(stands.report)).toContain('"explained":1')
    }
    const over = await pair({ status }, app, `u1,${kind},2026-11-14,friend`)
    expect(over.kinds).toHaveLength(1)
    expect(over.findings[0]?.detail).toContain(`ran out (${kind}: friend)`)
  })

  test('do not explain the other direction', async () => {
    expect((await pair({ status: 'active' }, BLOCKED, 'u1,comped,,')).code).toBe(1)
    expect((await pair({ status: 'unpaid' }, ACTIVE, 'u1,blocked,,')).kinds).toHaveLength(1)
  })

  test('must be understood', async () => {
    await expect(pair({ status: 'active' }, ACTIVE, 'u1,freebie,,')).rejects.toThrow(
      /row 2: kind is one of trial.* not "freebie"/,
    )
    await expect(pair({ status: 'active' }, ACTIVE, 'u1,comped,1/2/27,')).rejects.toThrow(/no day/)
  })
})

describe('links between the two sides', () => {
  const stripe = (...rows: SubscriptionRow[]) => lines(NOW_HEADING, ...rows.map(nowRow))
  const judged = async (stripeText: string, ...app: string[]) =>
    (await files({ 'stripe.csv': stripeText, 'app.csv': lines(APP, ...app) })).json()

  test('a subscription that no account knows is orphaned, and urgent while it is paid', async () => {
    const rows = stripe(
      { status: 'active', customer: 'cus_1', email: 'lost@x.io', amount: '99.00', quantity: 3 },
      { status: 'canceled', customer: 'cus_2' },
    )
    const found = await judged(rows, 'u9,other@x.io,,free,active')
    expect(found.kinds).toEqual(['urgent orphaned'])
    expect(found.findings[0]).toMatchObject({
      direction: 'paid_but_blocked',
      customer: 'cus_1',
      at_stake: { amount: '297.00', currency: 'usd', interval: 'month' },
    })
  })

  test('an e-mail links, without regard to case, and tells that the link is missing', async () => {
    const rows = stripe({ status: 'active', customer: 'cus_1', email: 'Ann@X.io' })
    expect((await judged(rows, 'u1,ann@x.IO,,pro,active')).kinds).toEqual(['review missing_link'])
    expect((await judged(rows, 'u1,ann@x.io,,free,active')).kinds).toEqual([
      'urgent paid_but_blocked',
    ])
    const gone = await judged(rows, 'u1,ann@x.io,cus_old,pro,active')
    expect(gone.findings[0]?.detail).toContain('names cus_old')
  })

  test('an e-mail of several customers is that of the only one who pays, or ambiguous', async () => {
    const ended = { status: 'canceled', end: '2026-01-01', email: 'a@x.io' }
    const paying = { status: 'active', email: 'a@x.io' }
    const one = stripe({ ...ended, customer: 'cus_1' }, { ...paying, customer: 'cus_2' })
    expect((await judged(one, 'u1,a@x.io,,pro,active')).kinds).toEqual(['review missing_link'])
    const two = stripe({ ...paying, customer: 'cus_1' }, { ...paying, customer: 'cus_2' })
    const found = await judged(two, 'u1,a@x.io,,pro,active')
    expect(found.kinds).toContain('review ambiguous')
  })

  test('an e-mail of several accounts is ambiguous', async () => {
    const rows = stripe({ status: 'active', customer: 'cus_1', email: 'a@x.io' })
    const found = await judged(rows, 'u1,a@x.io,,pro,active', 'u2,a@x.io,,pro,active')
    expect(found.kinds).toContain('review ambiguous')
  })

  test('access without any subscription is for review, none is nothing', async () => {
    const rows = stripe({ status: 'active', customer: 'cus_1' })
    const app = [ACTIVE, 'u2,b@x.io,,pro,active', 'u3,c@x.io,cus_9,free,active', 'u4,d@x.io,,,']
    expect((await judged(rows, ...app)).kinds).toEqual(['review unpaid_but_active'])
  })

  test('several subscriptions are ranked: the best rules, and two in force are told', async () => {
    const of = (status: string, amount: string) => ({ status, customer: 'cus_1', amount })
    const one = stripe(of('canceled', '5.00'), of('active', '20.00'), of('unpaid', '7.00'))
    expect((await judged(one, ACTIVE)).kinds).toEqual([])
    const two = stripe(of('past_due', '5.00'), of('active', '20.00'))
    const found = await judged(two, ACTIVE)
    expect(found.kinds).toEqual(['review several_subscriptions'])
    expect(found.findings[0]?.at_stake).toMatchObject({ amount: '5.00' })
    expect((await judged(two, BLOCKED)).findings[0]?.at_stake).toMatchObject({ amount: '25.00' })
  })

  test('rows that repeat count once; rows that contradict are for a person', async () => {
    const row = { id: 'sub_a', status: 'active', customer: 'cus_1' }
    const same = await judged(stripe(row, row), ACTIVE, ACTIVE)
    expect(same.kinds).toEqual([])
    expect(same.report.oddities).toEqual([
      '1 rows that repeat another (sub_a)',
      '1 accounts listed twice (u1)',
    ])
    const other = await judged(stripe(row, { ...row, status: 'canceled' }), ACTIVE)
    expect(other.kinds).toEqual(['review ambiguous'])
    expect((await judged(stripe(row), ACTIVE, BLOCKED)).kinds).toEqual(['review ambiguous'])
    const items = await judged(stripe(row, { ...row, amount: '5.50' }), BLOCKED)
    expect(items.findings[0]?.at_stake).toMatchObject({ amount: '25.50' })
  })

  test('an item that comes again after another one counts once', async () => {
    const row = { id: 'sub_a', status: 'active', customer: 'cus_1' }
    const other = { ...row, amount: '5.50' }
    const found = await judged(stripe(row, other, row, other, row), BLOCKED)
    expect(found.findings[0]?.at_stake).toMatchObject({ amount: '25.50' })
    expect(found.report.oddities).toEqual(['3 rows that repeat another (sub_a, …)'])
  })

  test('many accounts of one customer and many subscriptions take no square of time', async () => {
    const rows = Array.from({ length: 20_000 }, () => ({
      status: 'canceled',
      customer: 'cus_1',
      end: '',
    }))
    const app = Array.from({ length: 20_000 }, (_, at) => `u${at},,cus_1,pro,active`)
    const before = process.cpuUsage()
    expect((await judged(stripe(...rows), ...app)).kinds).toHaveLength(20_000)
    const { user, system } = process.cpuUsage(before)
    expect((user + system) / 1_000).toBeLessThan(10_000)
  })
})

describe('files as people have them', () => {
  const APP_ACTIVE = lines(APP, ACTIVE)
  const stripeText = lines(NOW_HEADING, nowRow({ status: 'active', customer: 'cus_1' }))
  const bom = '\u{feff}'

  test.each([
    ['a BOM', bom + stripeText],
    ['CRLF', stripeText.replaceAll('\n', '\r\n')],
    ['old Mac line ends', stripeText.replaceAll('\n', '\r')],
    ['no end of the last line', stripeText.trimEnd()],
    ['empty lines', stripeText.replaceAll('\n', '\n\n')],
    ['UTF-16 of Excel', Buffer.from(bom + stripeText, 'utf16le')],
    ['the old heading', lines(OLD_HEADING, 'sub_1,cus_1,,,plan_1,1,month,20.00,active')],
    [
      'the heading of most years',
      lines(
        'id,Customer ID,Customer Description,Customer Email,Plan,Quantity,Currency,Interval,Amount,' +
          'Status,Created (UTC),Start (UTC),Current Period Start (UTC),Current Period End (UTC),' +
          'Trial Start (UTC),Trial End (UTC),Application Fee Percent,Coupon,Tax Percent,' +
          'Canceled At (UTC),Ended At (UTC)',
        'sub_1,cus_1,,,plan_1,1,usd,month,20.00,active,2026-11-01 10:00,2026-11-01 10:00,' +
          '2026-11-01 10:00,2026-12-01 10:00,,,,,,,',
      ),
    ],
    ['semicolons', lines('"id";"Customer ID";"Status"', '"sub_1";"cus_1";"active"')],
    ['Excel’s sep=', lines('sep=;', 'id;Customer ID;Status', 'sub_1;cus_1;active')],
    ['tabs', lines('id\tCustomer ID\tStatus', 'sub_1\tcus_1\tactive')],
    ['the names of the API', lines('id,customer_id,status,current_period_end', 's,cus_1,active,1')],
    [
      'a quoted line end',
      lines('id,Description,Customer ID,Status', 's,"two\nlines",cus_1,active'),
    ],
    ['quotes inside a field', lines('id,Note,Customer ID,Status', 's,5" disk,cus_1,active')],
  ])('%s', async (_, text) => {
    const made = await files({ 'stripe.csv': text, 'app.csv': APP_ACTIVE })
    const found = await made.json()
    expect(found.kinds).toEqual([])
    expect(found.report).toMatchObject({ stripe: { rows: 1, customers: 1 }, app: { linked: 1 } })
  })

  test('an amount is read as it was written', async () => {
    for (const [written, amount] of [
      ['"1,234.50"', '1234.50'],
      ['"1.234,50"', '1234.50'],
      ['"20,00"', '20.00'],
      ['$20', '20.00'],
      ['0.005', '0.005'],
    ] as const) {
      const row = nowRow({ status: 'active', customer: 'cus_1', amount: written })
      const made = await files({
        'stripe.csv': lines(NOW_HEADING, row),
        'app.csv': lines(APP, BLOCKED),
      })
      const { findings } = await made.json()
      expect(findings[0]?.at_stake, written).toMatchObject({ amount })
    }
  })

  test.each([
    [';', ['1.000'], '1000.00', /decimal comma: 1.000 is a thousand \(as files parted like this/],
    [';', ['1.000,50'], '1000.50', /decimal comma.*as "1.000,50" shows/],
    [';', ['12,50', '1.000'], '1012.50', /decimal comma/],
    [';', ['12.50', '1.000'], '13.50', /decimal point: 1.000 is one \(as "12.50" shows/],
    ['\t', ['1.000'], '1.00', /decimal point/],
    [',', ['"12,50"', '1.000'], '1012.50', /decimal comma/],
    [',', ['"1,000"'], '1000.00', /decimal point/],
  ])('amounts of a file parted by "%s": %j', async (separator, written, amount, told) => {
    const rows = written.map((one, at) =>
      [`sub_1`, 'cus_1', `p${at}`, one, 'active'].join(separator),
    )
    const heading = ['id', 'Customer ID', 'Plan', 'Amount', 'Status'].join(separator)
    const made = await files({
      'stripe.csv': lines(heading, ...rows),
      'app.csv': lines(APP, BLOCKED),
    })
    expect((await made.json()).findings[0]?.at_stake).toMatchObject({ amount })
    expect((await made.run()).out).toMatch(told)
  })

  test('columns are told, and can be named by hand', async () => {
    const made = await files({
      'stripe.csv': stripeText,
      'app.csv': lines('Kunde,Zugang,Stripe Nummer', 'u1,gesperrt,cus_1'),
    })
    const refused = await made.run()
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('Name it with --map app.account=<column>')
    const maps = ['account=Kunde', 'access=Zugang', 'customer=Stripe Nummer']
    const named = maps.flatMap((map) => ['--map', `app.${map}`])
    const unknown = await made.run(...named)
    expect(unknown.code).toBe(0)
    expect(unknown.out).toContain('1 accounts with an unknown access word (gesperrt)')
    const told = await made.run(...named, '--blocked', 'gesperrt')
    expect(told.code).toBe(1)
    expect(told.out).toContain('access = "Zugang"')
    expect(told.out).toMatch(/paid_but_blocked +1 +0 +0 +20.00 usd\/month/)
  })

  test.each([
    [['--map', 'customer=x'], /write side.field=column/],
    [['--map', 'app.nothing=x'], /fields of app are account/],
    [['--map', 'app.customer=Nope'], /has no column "Nope"/],
    [['--format', 'xml'], /use table, csv or json/],
    [['--as-of', '1/2/27'], /--as-of/],
  ])('wrong use: %s', async (args, message) => {
    const { run } = await files({ 'stripe.csv': stripeText, 'app.csv': APP_ACTIVE })
    const { code, err } = await run(...args)
    expect(code).toBe(2)
    expect(err).toMatch(message)
  })

  test.each([
    ['an empty file', ''],
    ['no status', 'id,Customer ID\nsub_1,cus_1\n'],
    ['an open quote', `id,Customer ID,Status\nsub_1,"${'x'.repeat(1_200_000)}\n`],
    ['a picture', Buffer.from(Array.from({ length: 4_000 }, (_, at) => (at * 7) % 256))],
  ])('%s is refused with the name of the file', async (_, text) => {
    const { run } = await files({ 'stripe.csv': text, 'app.csv': APP_ACTIVE })
    const { code, err } = await run()
    expect(code).toBe(2)
    expect(err).toMatch(/stripe\.csv/)
  })

  test('csv has one line a finding, and no formula of a stranger', async () => {
    const made = await files({
      'stripe.csv': stripeText,
      'app.csv': lines(APP, '"=cmd|calc",a@x.io,cus_1,free,active'),
    })
    const { out, err } = await made.run('--format', 'csv')
    expect(out.split('\n')).toHaveLength(3)
    expect(out).toContain("urgent,paid_but_blocked,paid_but_blocked,'=cmd|calc,cus_1,a@x.io")
    expect(err).toContain('customer = "stripe_customer_id"')
  })
})

describe('exports as programs and databases write them', () => {
  const stripe = lines(
    NOW_HEADING,
    nowRow({ status: 'active', customer: 'cus_1', email: 'a@x.io' }),
  )
  const judged = async (app: string | Buffer) =>
    (await files({ 'stripe.csv': stripe, 'app.csv': app })).json()

  test.each([
    ['2026-11-14 23:59:59.123456+00', true],
    ['2026-11-15 01:30:00+02', true],
    ['2026-11-15 05:00:00+05:30', true],
    ['2026-11-14 23:59:59-0300', false],
    ['2026-11-14T23:59:59.123Z', true],
    ['2026-11-14 23:59:59 UTC', true],
    ['2026-11-14 23:59:59', true],
    ['2026-12-14 23:59:59+00', false],
  ])('an end of access of %s, as Postgres and others write it', async (until, isOver) => {
    const { kinds } = await judged(`id,customer,paid_until\n1,cus_1,${until}\n`)
    expect(kinds).toEqual(isOver ? ['urgent paid_but_blocked'] : [])
  })

  test('an end that has another zone is not guessed', async () => {
    const { kinds } = await judged('id,customer,paid_until\n1,cus_1,2026-11-14 23:59 EST\n')
    expect(kinds).toEqual(['review ambiguous'])
  })

  test('spaces within quotes are none of an e-mail or a name', async () => {
    expect((await judged('email,plan\n" A@x.io ",pro\n')).kinds).toEqual(['review missing_link'])
    expect((await judged('id,customer,plan\n1," cus_1 "," free "\n')).kinds).toEqual([
      'urgent paid_but_blocked',
    ])
  })

  test('a comma that nobody quoted is told', async () => {
    const { report } = await judged('id,name,customer,status\n1,Smith, John,cus_1,active\n2,A,,\n')
    expect(report.oddities).toContain('1 rows with more cells than the heading (row 2)')
  })

  test('UTF-16 of the other order is refused, not misread', async () => {
    const text = '\ufeffid\tcustomer\tstatus\n1\tcus_1\tblocked\n'
    const made = await files({
      ...{ 'stripe.csv': stripe, 'app.csv': Buffer.from(text, 'utf16le').swap16() },
    })
    expect(await made.run()).toMatchObject({ code: 2 })
    expect((await made.run()).err).toContain('UTF-16BE')
  })
})
