/** Stripe counts these in whole units. Source: docs.stripe.com/currencies. */
const WHOLE = new Set('bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf'.split(' '))
const THOUSANDTHS = new Set('bhd jod kwd omr tnd'.split(' '))

/** Micros in one smallest unit of a currency. */
export function microsInMinor(currency: string): number {
  if (WHOLE.has(currency)) return 1_000_000
  return THOUSANDTHS.has(currency) ? 1_000 : 10_000
}

/** "20.00" for 20 000 000: two places, more where they are needed. */
export function amountText(micros: number): string {
  const sign = micros < 0 ? '-' : ''
  const digits = String(Math.abs(micros)).padStart(7, '0')
  const part = digits.slice(-6).replace(/0{1,4}$/, '')
  return `${sign}${digits.slice(0, -6)}.${part}`
}

const DAY = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?/
/** Postgres writes +00, +02 or +05:30. */
const ZONE = /(?:Z|([+-]\d{2}):?(\d{2})?)$/

/**
 * A moment in Unix ms: ISO days and times (UTC where no zone is written, as Stripe's exports are),
 * Unix seconds or milliseconds. null = empty or another spelling; days like 3/4/2027 are guesses.
 */
export function readTime(text: string): number | null {
  if (/^\d{9,10}$/.test(text)) return Number(text) * 1000
  if (/^\d{13}$/.test(text)) return Number(text)
  const found = DAY.exec(text)
  if (found === null) return null
  const [, year, month, day, hour = '00', minute = '00', second = '00'] = found
  const rest = text.slice(found[0].length).trim()
  const [written = '', hours, minutes = '00'] = ZONE.exec(rest) ?? []
  if (rest !== written && rest !== 'UTC') return null
  const zone = hours === undefined ? 'Z' : `${hours}:${minutes}`
  const time = `${hour.padStart(2, '0')}:${minute}:${second}`
  const ms = Date.parse(`${year}-${month}-${day}T${time}${zone}`)
  return Number.isNaN(ms) ? null : ms
}

const YES = new Set(
  (
    'true 1 yes y t on x active enabled paid paying premium pro subscribed granted allowed ' +
    'ok open trial trialing past_due grace comped'
  ).split(' '),
)
const NO = new Set(
  (
    'false 0 no n f off inactive blocked disabled denied revoked suspended canceled cancelled ' +
    'expired unpaid none null nil banned closed deleted frozen locked incomplete ended churned ' +
    'incomplete_expired paused unsubscribed lapsed free basic_free pending'
  ).split(' '),
)
const FREE = new Set(['free', 'none', 'no_plan', 'hobby', 'basic_free', '0'])
/** How a plan that was never set is exported. */
const UNSET = new Set(['', 'null', 'nil'])

/** Words that the operator adds to those known. */
export interface Words {
  readonly active: ReadonlySet<string>
  readonly blocked: ReadonlySet<string>
}

export type Access = 'active' | 'blocked' | 'unknown'

const wordOf = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replaceAll(/[\s-]+/g, '_')

export function readWords(active: string, blocked: string): Words {
  const words = (text: string) =>
    new Set(
      text
        .split(',')
        .map(wordOf)
        .filter((one) => one !== ''),
    )
  return { active: words(active), blocked: words(blocked) }
}

/** What a status, a flag or a plan's name says about access. Empty is no. */
export function readAccess(text: string, words: Words): Access {
  const word = wordOf(text)
  if (words.active.has(word)) return 'active'
  if (words.blocked.has(word)) return 'blocked'
  if (YES.has(word)) return 'active'
  return word === '' || NO.has(word) ? 'blocked' : 'unknown'
}

/** Whether a plan's name is that of a plan without payment. */
export function isFreePlan(text: string, words: Words): boolean {
  const word = wordOf(text)
  if (words.active.has(word)) return false
  return FREE.has(word) || words.blocked.has(word)
}

/** Whether there is no name of a plan at all: that may mean none, or that nobody kept it there. */
export function isEmptyPlan(text: string, words: Words): boolean {
  const word = wordOf(text)
  return UNSET.has(word) && !words.active.has(word) && !words.blocked.has(word)
}
