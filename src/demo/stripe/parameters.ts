import { ApiFault, docUrl } from './faults.ts'
import { isObj, type Json, type Obj } from './json.ts'
import known from './parameters.json' with { type: 'json' }

const KNOWN: Obj = known

/** Refuses what the operation does not know and what it misses, at every level, as Stripe does. */
export function checkParameters(operation: string, input: Obj): void {
  const allowed = KNOWN[operation]
  if (isObj(allowed)) check(allowed, input, '')
}

function check(allowed: Obj, input: Obj, prefix: string): void {
  for (const [key, value] of Object.entries(input)) {
    const below = allowed[key] ?? allowed[`${key}!`]
    const name = prefix === '' ? key : `${prefix}[${key}]`
    if (below === undefined) throw unknown(name)
    descend(below, value, name)
  }
  for (const key of Object.keys(allowed)) {
    if (!key.endsWith('!') || input[key.slice(0, -1)] !== undefined) continue
    const bare = key.slice(0, -1)
    throw absent(prefix === '' ? bare : `${prefix}[${bare}]`)
  }
}

function descend(allowed: Json, value: Json, name: string): void {
  if (!isObj(allowed)) return
  if (isObj(value)) check(allowed, value, name)
  if (!Array.isArray(value)) return
  for (const [index, part] of value.entries()) {
    if (isObj(part)) check(allowed, part, `${name}[${index}]`)
  }
}

function unknown(name: string): ApiFault {
  const gone = name === 'payment_method_types'
  const code = gone ? 'payment_method_types_no_longer_supported' : 'parameter_unknown'
  const message = gone
    ? 'The parameter payment_method_types is no longer supported.'
    : `Received unknown parameter: ${name}`
  return refusal(code, message, name)
}

const absent = (name: string): ApiFault =>
  refusal('parameter_missing', `Missing required param: ${name}.`, name)

const refusal = (code: string, message: string, param: string): ApiFault =>
  new ApiFault(
    400,
    { type: 'invalid_request_error', code, doc_url: docUrl(code), message, param },
    true,
  )
