import { chatAnswer, chatDelta, chatStream } from '../../e2e/support/answers.ts'
import { chargeFor } from '../../e2e/support/money.ts'
import { until } from '../../support/until.ts'
import { answerJson, openStream, type Call, type FakeUpstream } from '../../e2e/support/upstream.ts'

/**
 * Work for the fake provider. Each job costs another amount than its neighbours, so that a charge
 * that went to the wrong request, or twice, shows in the sums.
 */
export const JSON_MODEL = 'job-json'
export const STREAM_MODEL = 'job-stream'
/** Streams that say something and stay open until the test ends them. */
export const OPEN_MODEL = 'job-open'
/** Refused by the provider. */
export const FAIL_MODEL = 'job-fail'
/** Streams that break in the middle. */
export const CUT_MODEL = 'job-cut'
/** Never answered. */
export const SILENT_MODEL = 'job-silent'

const OUTPUT_MAX = 600
const INPUT = 20
const EVENT_MS = 15
const WORDS = ['one ', 'two ', 'three ', 'four.']

const outputOf = (job: number): number => 20 + ((job * 37) % 500)
export const tokensOf = (job: number) => ({ input: INPUT, output: outputOf(job) })

/** What a job costs when it is answered, micros. */
export const costOf = (job: number): number =>
  chargeFor({ input_tokens: INPUT, output_tokens: outputOf(job) })

/** The most that any job costs. */
export const COST_MAX = chargeFor({ input_tokens: INPUT, output_tokens: 520 })

export const jobBody = (model: string, job: number): string =>
  JSON.stringify({
    model,
    stream: model === STREAM_MODEL || model === OPEN_MODEL,
    max_tokens: OUTPUT_MAX,
    messages: [{ role: 'user', content: `job ${job}` }],
  })

const jobOf = (call: Call): number => Number(/job (\d+)/.exec(call.raw.toString())?.[1])

/** A job as it reached the provider. */
export const callOf = (upstream: FakeUpstream, job: number): Promise<Call> =>
  until(() => upstream.all.find((call) => jobOf(call) === job))

function writeSlowly(call: Call, events: readonly string[]): void {
  const [first, ...rest] = events
  if (first === undefined) {
    call.out.end()
    return
  }
  call.out.write(first)
  setTimeout(writeSlowly, EVENT_MS, call, rest)
}

export function serveJobs(upstream: FakeUpstream): void {
  upstream.on(JSON_MODEL, (call) => {
    setTimeout(() => {
      answerJson(call, chatAnswer(JSON_MODEL, 'Done.', tokensOf(jobOf(call))))
    }, EVENT_MS)
  })
  upstream.on(STREAM_MODEL, (call) => {
    openStream(call)
    writeSlowly(call, chatStream(STREAM_MODEL, WORDS, tokensOf(jobOf(call))))
  })
  upstream.on(FAIL_MODEL, (call) => {
    answerJson(call, { error: { message: 'no', type: 'server_error' } }, 500)
  })
  upstream.on(CUT_MODEL, (call) => {
    openStream(call, [chatDelta(CUT_MODEL, { role: 'assistant', content: 'So far' })])
    setTimeout(() => call.out.destroy(), EVENT_MS)
  })
  upstream.on(OPEN_MODEL, (call) => {
    openStream(call, [
      chatDelta(OPEN_MODEL, { role: 'assistant', content: '' }),
      chatDelta(OPEN_MODEL, { content: 'So far I have said no more than this.' }),
    ])
  })
}

/** Ends a stream that was left open, with its usage. */
export function finishOpen(call: Call): void {
  const events = chatStream(OPEN_MODEL, WORDS, tokensOf(jobOf(call))).slice(1)
  for (const event of events) call.out.write(event)
  call.out.end()
}
