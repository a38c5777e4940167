import type { HoldProgress, ReceiptDraft } from '../credits/holds.ts'
import { USAGE_TYPE_CHARS_MAX } from '../kernel/limits/answers.ts'
import { STORED_ID_CHARS_MAX } from '../kernel/limits/background.ts'
import { BYTES_PER_TOKEN, MODEL_CHARS_MAX } from '../kernel/limits/models.ts'
import { micros, type Micros } from '../kernel/money.ts'
import { isPlain, nameText } from '../kernel/text.ts'
import { nonZero, type Usage } from '../kernel/usage.ts'
import type { Charge } from '../pricing/pricing.ts'
import { usedOf } from '../protocols/asked.ts'
import type { MeterReport } from '../protocols/protocol.ts'
import type { Exchange, GatewayDeps } from './context.ts'

export interface Measured {
  readonly usage: Usage
  readonly estimated: boolean
  readonly charge: Charge
  /** The model whose price was taken. */
  readonly model: string
  readonly tokens: number
  readonly storedIds: readonly string[]
}

/** What of a request its cost follows from. */
export interface MeasuredRequest {
  readonly target: Pick<Exchange['target'], 'price' | 'query' | 'bound'>
  readonly view: Pick<
    Exchange['view'],
    | 'model'
    | 'serviceTier'
    | 'inputText'
    | 'inputTextBytes'
    | 'inputTokensBeyondText'
    | 'asked'
    | 'used'
  >
}

type MeasureDeps = Pick<GatewayDeps, 'prices' | 'tokens'>

const sumTokens = (usage: Usage): number =>
  (usage.input_tokens ?? 0) +
  (usage.cache_read_tokens ?? 0) +
  (usage.cache_write_tokens ?? 0) +
  (usage.cache_write_5m_tokens ?? 0) +
  (usage.cache_write_1h_tokens ?? 0) +
  (usage.input_audio_tokens ?? 0) +
  (usage.input_image_tokens ?? 0) +
  (usage.output_tokens ?? 0)

/** Images that came beside tokens, at the price of the model that drew them. */
function billed({ imagesBy }: MeterReport, usage: Usage): Usage {
  if (imagesBy === undefined || (usage.images ?? 0) === 0) return usage
  const { images, iterations = [], ...rest } = usage
  const drawn = { type: 'image_generation', model: imagesBy, usage: { images: images ?? 0 } }
  return { ...rest, iterations: [...iterations, drawn] }
}

/**
 * Prices by the model and the service tier that the response states; a model name of the
 * response that has no price falls back to the one that was asked for. Source: providers.md §1.
 */
function priced(
  deps: MeasureDeps,
  exchange: MeasuredRequest,
  report: MeterReport,
  usage: Usage,
  estimated: boolean,
): Measured {
  const { target, view } = exchange
  const stated = report.servedBy ?? report.model
  const price = deps.prices.findAnswered(target.query, stated, target.price)
  const query = stated === null ? target.query : { ...target.query, model: stated }
  const tier = report.serviceTier ?? view.serviceTier
  const charge = deps.prices.charge(price, query, billed(report, usage), tier)
  return { ...kept(report, view, usage), estimated, charge, tokens: sumTokens(usage) }
}

/**
 * What of an answer goes into the receipt. Its texts are the provider's: one that Postgres refuses
 * would park the receipt, and the answer would never be paid for. An id that is no name of a
 * response cannot be asked for either.
 */
function kept(
  report: MeterReport,
  view: MeasuredRequest['view'],
  usage: Usage,
): Pick<Measured, 'usage' | 'model' | 'storedIds'> {
  const modelText = (model: string): string => nameText(model, MODEL_CHARS_MAX)
  const { iterations, ...buckets } = nonZero(usage)
  const named = iterations?.map((each) => ({
    ...each,
    type: nameText(each.type, USAGE_TYPE_CHARS_MAX),
    model: each.model === null ? null : modelText(each.model),
  }))
  const isId = (id: string): boolean => id.length <= STORED_ID_CHARS_MAX && isPlain(id)
  return {
    usage: named === undefined ? buckets : { ...buckets, iterations: named },
    model: modelText(report.model ?? view.model),
    storedIds: (report.storedIds ?? []).filter(isId),
  }
}

const textLength = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)

/** A count without the tokenizer: cheap, on the event loop, close enough for progress. */
const roughTokens = (bytes: number): number => Math.ceil(bytes / BYTES_PER_TOKEN)

/** Fills in what the provider did not report. Counted text stands in for its numbers. */
function complete(
  report: MeterReport,
  inputTokens: number | null,
  outputTokens: number | null,
): Usage {
  const usage: Usage = { ...report.usage }
  if (inputTokens !== null) usage.input_tokens = inputTokens
  if (outputTokens !== null) {
    const least = Math.max(usage.output_reasoning_tokens ?? 0, report.outputTokensLeast ?? 0)
    usage.output_tokens = Math.max(outputTokens, least)
  }
  return usage
}

/** What the protocol makes of request and answer together; null = reports and text tell. */
function told(deps: MeasureDeps, exchange: MeasuredRequest, report: MeterReport): Measured | null {
  const { asked, used: tell } = exchange.view
  const used = asked === undefined ? tell?.(report) : usedOf(asked, report)
  if (used === undefined) return null
  return priced(deps, exchange, report, used.usage, used.estimated)
}

const isReported = (report: MeterReport): boolean =>
  report.usage !== null && report.inputReported && report.outputReported

async function countOr(
  deps: MeasureDeps,
  texts: readonly string[],
  model: string,
): Promise<number> {
  if (texts.length === 0) return 0
  return (await deps.tokens.count(texts, model)) ?? roughTokens(textLength(texts))
}

/** Bytes of a request's text; those of a body that a thread read are known. */
function inputBytes(view: MeasuredRequest['view']): number {
  if (view.inputTextBytes !== undefined) return view.inputTextBytes
  const texts = view.inputText()
  return texts instanceof Promise ? 0 : textLength(texts)
}

async function countInput(deps: MeasureDeps, view: MeasuredRequest['view']): Promise<number> {
  const texts = await view.inputText()
  return texts === null ? roughTokens(inputBytes(view)) : countOr(deps, texts, view.model)
}

/** Fragments of one answer as one text: apart, each would cost at least a token of its own. */
const whole = (fragments: readonly string[]): string[] =>
  fragments.length === 0 ? [] : [fragments.join('')]

async function countOutput(
  deps: MeasureDeps,
  { produced }: MeterReport,
  model: string,
): Promise<number> {
  const { text, beyond } = produced()
  return (await countOr(deps, whole(text), model)) + roughTokens(beyond)
}

/** An estimate is no more than the request allowed: what came beside text (vectors) is not text. */
const within = (exchange: MeasuredRequest, tokens: number): number =>
  Math.min(tokens, exchange.target.bound.outputTokensMax)

/** What needs no counting; null = something must be estimated. */
function known(deps: MeasureDeps, exchange: MeasuredRequest, report: MeterReport): Measured | null {
  const byProtocol = told(deps, exchange, report)
  if (byProtocol !== null || !isReported(report)) return byProtocol
  return priced(deps, exchange, report, report.usage ?? {}, false)
}

/**
 * What the answer cost. Reported numbers are taken as they are; what is missing is counted in the
 * tokenizer's thread (only then a promise) and marked estimated. Source: design §2.6, providers.md
 * §1 and §4.
 */
export const measure = (
  deps: MeasureDeps,
  exchange: MeasuredRequest,
  report: MeterReport,
): Measured | Promise<Measured> => known(deps, exchange, report) ?? estimate(deps, exchange, report)

const missing = ({ usage, inputReported, outputReported }: MeterReport) => ({
  input: usage === null || !inputReported,
  output: usage === null || !outputReported,
})

function roughOutput({ produced }: MeterReport): number {
  const { text, beyond } = produced()
  return roughTokens(textLength(text) + beyond)
}

async function estimate(
  deps: MeasureDeps,
  exchange: MeasuredRequest,
  report: MeterReport,
): Promise<Measured> {
  const { view } = exchange
  const lacks = missing(report)
  const input = lacks.input ? (await countInput(deps, view)) + view.inputTokensBeyondText : null
  const output = lacks.output ? within(exchange, await countOutput(deps, report, view.model)) : null
  return priced(deps, exchange, report, complete(report, input, output), true)
}

/** The same without waiting, for progress: what a crash from here would be charged. */
export function roughly(
  deps: MeasureDeps,
  exchange: MeasuredRequest,
  report: MeterReport,
): Measured {
  const uncounted = known(deps, exchange, report)
  if (uncounted !== null) return uncounted
  const { view } = exchange
  const lacks = missing(report)
  const input = lacks.input ? roughTokens(inputBytes(view)) + view.inputTokensBeyondText : null
  const output = lacks.output ? within(exchange, roughOutput(report)) : null
  return priced(deps, exchange, report, complete(report, input, output), true)
}

/** A receipt draft that carries what was measured. */
export function draftWith(
  exchange: Exchange,
  measured: Measured,
  httpStatus: number,
  nowMonoMs: number,
): ReceiptDraft {
  const { times, startedMonoMs } = exchange
  return {
    ...exchange.draft,
    stream: exchange.view.stream,
    model: measured.model,
    estimated: measured.estimated,
    usage: measured.usage,
    providerCostPicoUsd: measured.charge.costPicoUsd.toString(),
    priceVersion: measured.charge.priceVersion,
    ...(measured.storedIds.length > 0 && { storedIds: measured.storedIds }),
    httpStatus,
    firstByteMs: times.firstByteMs === 0 ? null : Math.round(times.firstByteMs - startedMonoMs),
    durationMs: Math.round(nowMonoMs - startedMonoMs),
  }
}

/** Progress for the hold: at least a micro once the upstream answered, so it is never released. */
export function progressOf(
  deps: MeasureDeps,
  exchange: Exchange,
  report: MeterReport,
  httpStatus: number,
  nowMonoMs: number,
): HoldProgress {
  const measured = roughly(deps, exchange, report)
  // What is free of charge holds nothing: a crash then releases it.
  const least: Micros = micros(Math.max(exchange.hold.micros === 0 ? 0 : 1, measured.charge.micros))
  return { micros: least, draft: draftWith(exchange, measured, httpStatus, nowMonoMs) }
}
