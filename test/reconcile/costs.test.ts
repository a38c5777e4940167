import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configSchema } from '../../src/config-schema.ts'
import { openCsv } from '../../src/reconcile/audit/csv.ts'
import { compareCosts, dayText, type DayCost } from '../../src/reconcile/costs/compare.ts'
import { costFormatSchema, makeCostBook } from '../../src/reconcile/costs/config.ts'
import { modelKey } from '../../src/reconcile/costs/models.ts'
import { readCosts } from '../../src/reconcile/costs/read.ts'
import { agrees, readPico, usdText, type DecimalMark } from '../../src/reconcile/costs/usd.ts'

const PICO = 1_000_000_000_000n
const DAY_MS = 86_400_000
const LATER = Date.UTC(2030, 0, 1)

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'farebox-costs-'))
})
afterAll(() => rm(folder, { recursive: true }))

let files = 0
async function read(
  text: string | Buffer,
  format: Parameters<typeof costFormatSchema.parse>[0] = {},
  madeAtMs = LATER,
) {
  const path = join(folder, `${(files += 1)}.csv`)
  await writeFile(path, text)
  const found = await readCosts(await openCsv(path), costFormatSchema.parse(format), madeAtMs)
  const lines = found.lines.map(
    ({ day, model, pico }) => `${dayText(day)} ${model} ${usdText(pico)}`,
  )
  return { ...found, text: lines, skippedDays: [...found.skipped].map(dayText).toSorted() }
}

describe('amounts', () => {
  test.each([
    ['0.003835980000000000000000000000', 'auto', ',', 3_835_980_000n],
    ['1.2e-05', 'auto', ',', 12_000_000n],
    ['1E3', 'auto', ',', 1_000n * PICO],
    ['$1,234.50', 'auto', ',', (12_345n * PICO) / 10n],
    ['1.234,50 USD', 'auto', ';', (12_345n * PICO) / 10n],
    ['0,05', 'auto', ',', PICO / 20n],
    ['1,234', 'auto', ',', 1_234n * PICO],
    ['1,234', 'auto', ';', (1_234n * PICO) / 1_000n],
    ['1,234', ',', ',', (1_234n * PICO) / 1_000n],
    ['1.234', ',', ';', 1_234n * PICO],
    ['1.234.567', 'auto', ';', 1_234_567n * PICO],
    ['-0.10', 'auto', ',', -PICO / 10n],
    ['.5', 'auto', ',', PICO / 2n],
    ['0.0000000000005', 'auto', ',', 1n],
    ['0', 'auto', ',', 0n],
    ['1e-999', 'auto', ',', 0n],
    ['', 'auto', ',', null],
    ['n/a', 'auto', ',', null],
    ['1.2.3,4,5', 'auto', ',', null],
    ['12 €', 'auto', ',', null],
    ['--1', 'auto', ',', null],
    ['9'.repeat(70), 'auto', ',', null],
  ] as const)('%j with %j in a file of %j', (text, mark, separator, expected) => {
    expect(readPico(text, { mark: mark satisfies DecimalMark, separator })).toBe(expected)
  })

  test('agree within 0.5 % of the bill or a cent, whichever is larger', () => {
    expect(agrees(PICO, PICO + PICO / 100n)).toBe(true)
    expect(agrees(PICO, PICO + PICO / 100n + 1n)).toBe(false)
    expect(agrees(1_000n * PICO, 1_005n * PICO)).toBe(true)
    expect(agrees(1_000n * PICO, 995n * PICO - 1n)).toBe(false)
    expect(agrees(0n, PICO / 100n)).toBe(true)
  })
})

test.each([
  ['gpt-4o-2024-08-06', 'gpt-4o'],
  ['GPT-4o', 'gpt-4o'],
  ['gpt-4.1-mini-2025-04-14', 'gpt-4.1-mini'],
  ['Claude Sonnet 4.5', 'claude-sonnet-4-5-20250929'],
  ['Claude Sonnet 4.5 (1M context)', 'claude-sonnet-4-5'],
  ['Claude Sonnet 3.5', 'claude-3-5-sonnet-latest'],
  ['Claude Haiku 3', 'claude-3-haiku-20240307'],
])('%s and %s are one model', (a, b) => {
  expect(modelKey(a)).toBe(modelKey(b))
})

test('models of another name are others', () => {
  const names = [
    'gpt-4o',
    'gpt-4o-mini',
    'gpt-4',
    'Claude Opus 4',
    'Claude Opus 4.1',
    'o1',
    'o1-pro',
  ]
  expect(new Set(names.map(modelKey)).size).toBe(names.length)
})

describe('an export', () => {
  test.each([
    ['1.234', '0,5', '1234.00'],
    ['1.234', '12,50', '1234.00'],
    ['1.234', '0.5', '1.234'],
    ['1.234', '7', '1.234'],
    ['"1,234"', '0,5', '1.234'],
    ['0.005', '12,50', '0.005'],
  ])('with %s beside %s is read as the rest of it', async (amount, other, expected) => {
    const found = await read(`date;model;cost\n2026-11-01;a;${amount}\n2026-11-01;b;${other}\n`)
    expect(found.text[0]).toBe(`2026-11-01 a ${expected}`)
  })

  const OPENAI =
    'start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,' +
    'project_id,organization_id\n'
  const openai = (day: number, amount: string, line: string, project = 'proj_a') => {
    const [start, end] = [1_790_553_600 + day * 86_400, 1_790_640_000 + day * 86_400]
    const iso = (at: number) => new Date(at * 1000).toISOString().replace('.000Z', '+00:00')
    const item = line === '' ? '' : `"${line}"`
    const currency = amount === '' ? '' : 'usd'
    return `${start},${end},${iso(start)},${iso(end)},${amount},${currency},${item},${project},org\n`
  }

  test('of OpenAI is summed by day and model, all kinds of tokens and projects', async () => {
    const found = await read(
      OPENAI +
        openai(0, '0.5000000000000000', 'gpt-4o-2024-08-06, input') +
        openai(0, '0.25', 'gpt-4o-2024-08-06, output') +
        openai(0, '0.25', 'gpt-4o-2024-08-06, output', 'proj_b') +
        openai(0, '1.2e-05', 'gpt-5-nano, cached input') +
        openai(1, '', '') +
        openai(2, '3', 'gpt-4o-mini-2024-07-18, input'),
    )
    expect(found.text).toEqual([
      '2026-09-28 gpt-4o-2024-08-06 1.00',
      '2026-09-28 gpt-5-nano 0.000012',
      '2026-09-30 gpt-4o-mini-2024-07-18 3.00',
    ])
    expect([dayText(found.fromDay), dayText(found.toDay)]).toEqual(['2026-09-28', '2026-09-30'])
    expect([found.skippedDays, found.oddities]).toEqual([[], []])
  })

  test('of Anthropic is too, in the names of its console', async () => {
    const found = await read(
      'usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,' +
        'list_price_usd,cost_type\n' +
        '2026-08-04,Claude Haiku 4.5,Default,key,message,≤ 200k,input_no_cache,0.05,0.05,token\n' +
        '2026-08-04,Claude Haiku 4.5,Default,key,message,≤ 200k,output,0.02,0.02,token\n' +
        '2026-08-05,Claude Opus 4.5,Default,key,message,≤ 200k,output,0.30,0.30,token\n',
    )
    expect(found.text).toEqual([
      '2026-08-04 Claude Haiku 4.5 0.07',
      '2026-08-05 Claude Opus 4.5 0.30',
    ])
  })

  test('may be saved by Excel: UTF-16, semicolons, decimal commas, a BOM', async () => {
    const text =
      '\uFEFFDate;Model;Cost\r\n2026-08-04;"gpt-4o";"1.234,5"\r\n2026-08-04;gpt-4o;0,5\r\n'
    const expected = ['2026-08-04 gpt-4o 1235.00']
    expect((await read(text)).text).toEqual(expected)
    expect((await read(Buffer.from(text, 'utf16le'))).text).toEqual(expected)
  })

  test('counts a row that is there twice once, unless it is said that rows may be alike', async () => {
    const text = 'date,model,cost\n2026-08-04,a,1\n2026-08-04,a,1\n2026-08-04,a,2\n'
    const found = await read(text)
    expect(found.text).toEqual(['2026-08-04 a 3.00'])
    expect(found.oddities).toEqual(['1 rows that repeat another one (row 3)'])
    expect((await read(text, { repeated_rows: 'add' })).text).toEqual(['2026-08-04 a 4.00'])
  })

  test('is of UTC days, whatever its zone', async () => {
    const text =
      'date,model,cost\n2026-08-04T23:30:00-07:00,a,1\n2026-08-05T00:30:00+02:00,a,2\n' +
      `${Date.UTC(2026, 7, 6) / 1000},a,4\n`
    expect((await read(text)).text).toEqual([
      '2026-08-04 a 2.00',
      '2026-08-05 a 1.00',
      '2026-08-06 a 4.00',
    ])
  })

  test('has its columns and models named in the configuration', async () => {
    const text = 'Datum|Zähler|Kosten\n2026-08-04|GPT 4o Inp|1,5\n2026-08-04|gpt-4o|1\n'
    const columns = { day: 'Datum', model: 'Zähler', cost: 'Kosten' }
    const found = await read(text, { columns, models: { 'GPT 4o Inp': 'gpt-4o' } })
    expect(found.text).toEqual(['2026-08-04 gpt-4o 2.50'])
    await expect(read(text, { columns: { ...columns, cost: 'Preis' } })).rejects.toThrow('"Preis"')
  })

  test('leaves out days that cannot be read or were not over when it was made', async () => {
    const text =
      'date,model,cost,currency\n2026-08-01,a,oops,usd\n2026-08-02,a,1,eur\n2026-08-03,a,1,USD\n' +
      '2026-08-04,a,1,usd\nTotal,,3,\n,,,\n'
    const noon = Date.UTC(2026, 7, 4, 12)
    const { skippedDays, oddities } = await read(text, {}, noon)
    expect(skippedDays).toEqual(['2026-08-01', '2026-08-02', '2026-08-04'])
    expect(oddities).toEqual([
      '1 costs that are no amount (row 2)',
      '1 costs that are not in US dollars (row 3)',
      '1 rows without a day that can be read (row 6)',
    ])
    // Providers count late: a day is whole some hours after its end.
    expect((await read(text, {}, Date.UTC(2026, 7, 5, 1))).skippedDays).toContain('2026-08-04')
    expect((await read(text, {}, Date.UTC(2026, 7, 5, 4))).skippedDays).not.toContain('2026-08-04')
  })

  test.each([
    ['start_time,num_model_requests,input_tokens\n1790553600,1,2\n', 'Export costs, not usage'],
    ['date,model,cost\n', 'no row with a day'],
    ['', 'is empty'],
    ['start_time,end_time,cost\n1790553600,1791158400,3\n', 'longer than a day'],
  ])('%j is refused, and it is said why', async (text, why) => {
    await expect(read(text)).rejects.toThrow(why)
  })
})

describe('both sides', () => {
  const DAY = Date.UTC(2026, 7, 4) / DAY_MS
  const usd = (model: string, dollars: number, day = DAY): DayCost => ({
    ...{ day, model },
    pico: (BigInt(Math.round(dollars * 1_000)) * PICO) / 1_000n,
  })
  const compare = (exported: DayCost[], receipts: DayCost[], days = [DAY]) =>
    compareCosts({ provider: 'openai', exported, receipts, perUsd: '100' }, days).map(
      ({ kind, subject, atStakeMicros, evidence }) =>
        `${kind} ${subject} ${atStakeMicros} ${JSON.stringify(evidence.difference_usd)}`,
    )

  test('agree by model, whatever it is called', () => {
    const ours = [usd('gpt-4o', 1), usd('gpt-4o-2024-08-06', 1), usd('o1', 5)]
    expect(compare([usd('gpt-4o-2024-08-06', 2.005), usd('o1', 5.02)], ours)).toEqual([])
  })

  test('differ with both sides named, and one alone is another kind', () => {
    expect(
      compare(
        [usd('gpt-4o', 2), usd('whisper-1', 3), usd('tiny', 0.01)],
        [usd('gpt-4o', 2.5), usd('o1', 0.5), usd('small', 0.01)],
      ),
    ).toEqual([
      'provider_cost_differs openai 2026-08-04 gpt-4o 50000000 "-0.50"',
      'provider_cost_unrecorded openai 2026-08-04 whisper-1 300000000 "3.00"',
      'provider_cost_unbilled openai 2026-08-04 o1 50000000 "-0.50"',
    ])
  })

  test('are a day’s total where the export names no models', () => {
    expect(compare([usd('', 3)], [usd('gpt-4o', 1), usd('o1', 2)])).toEqual([])
    expect(compare([usd('', 3)], [usd('gpt-4o', 1)])).toEqual([
      'provider_cost_differs openai 2026-08-04 (all) 200000000 "2.00"',
    ])
  })

  test('days that are not compared say nothing', () => {
    expect(compare([usd('a', 3, DAY + 1)], [usd('b', 3, DAY - 1)])).toEqual([])
  })
})

test('upstreams of a provider are those at its host, or those that are named', () => {
  const book = makeCostBook(
    configSchema.parse({
      upstreams: {
        ...{ openai: { protocol: 'openai' }, eu: { protocol: 'openai' } },
        claude: { protocol: 'anthropic' },
        local: { protocol: 'openai', base_url: 'http://127.0.0.1:8000' },
      },
      reconcile: { costs: { local: { upstreams: ['local'] }, empty: {} } },
    }),
  )
  const upstreams = Object.entries(book.providers).map(([name, it]) => [name, it.upstreams])
  expect(Object.fromEntries(upstreams)).toEqual({
    ...{ openai: ['openai', 'eu'], anthropic: ['claude'], local: ['local'], empty: [] },
  })
  expect(book.perUsd).toBe('100')
})
