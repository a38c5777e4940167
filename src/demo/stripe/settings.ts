import { invalid } from './faults.ts'
import type { Json, Obj } from './json.ts'
import type { Settings } from './world.ts'

const CLOCKS = ['wall', 'stripe'] as const
const ENDS = ['cancel', 'unpaid', 'past_due', 'pause'] as const
const INVOICES = ['leave', 'uncollectible'] as const

function oneOf<T extends string>(known: readonly T[], value: Json, key: string): T {
  const found = known.find((one) => one === value)
  if (found === undefined) throw invalid(`${key} is one of ${known.join(', ')}.`, key)
  return found
}

function numberIn(value: Json, key: string): number {
  const parsed = Number(value)
  if (value === '' || !Number.isFinite(parsed)) throw invalid(`${key} is a number.`, key)
  return parsed
}

function numbersIn(value: Json, key: string): number[] {
  if (!Array.isArray(value)) throw invalid(`${key} is a list of numbers.`, key)
  return value.map((part) => numberIn(part, key))
}

type Setters = { readonly [K in keyof Settings]: (value: Json, key: string) => Settings[K] }

const SETTERS: Setters = {
  tax_percent: numberIn,
  delayed_payment_s: numberIn,
  refund_fail_s: numberIn,
  finalize_s: numberIn,
  upcoming_s: numberIn,
  incomplete_expires_s: numberIn,
  webhook_retry_s: numbersIn,
  dunning_days: numbersIn,
  signature_clock: (value, key) => oneOf(CLOCKS, value, key),
  dunning_end: (value, key) => oneOf(ENDS, value, key),
  dunning_invoice: (value, key) => oneOf(INVOICES, value, key),
}

const isSetting = (key: string): key is keyof Settings => key in SETTERS

/** Changes the settings that `input` names. Throws 400 for what is none, or no value of it. */
export function changeSettings(settings: Settings, input: Obj): Obj {
  for (const [key, value] of Object.entries(input)) {
    if (!isSetting(key)) throw invalid(`No such setting: ${key}`, key)
    Object.assign(settings, { [key]: SETTERS[key](value, key) })
  }
  return { ...settings }
}
