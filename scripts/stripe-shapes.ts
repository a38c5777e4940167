import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Writes what the Stripe simulator knows of Stripe's API, from Stripe's OpenAPI document:
 *   node scripts/stripe-shapes.ts openapi.json
 * src/demo/stripe/shapes.json:     each object with every required field at its neutral value
 * src/demo/stripe/parameters.json: each operation's parameters, nested, `!` at the end if required
 */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type Obj = Record<string, Json>

const OBJECTS = [
  ...['customer', 'deleted_customer', 'product', 'deleted_product', 'price', 'coupon'],
  ...['promotion_code', 'discount', 'payment_method', 'payment_intent', 'setup_intent', 'charge'],
  ...['balance_transaction', 'refund', 'dispute', 'radar.early_fraud_warning', 'item'],
  ...['checkout.session', 'subscription', 'subscription_item', 'invoice', 'line_item'],
  ...['invoiceitem', 'invoice_payment', 'credit_note', 'credit_note_line_item', 'deleted_coupon'],
  ...['customer_balance_transaction', 'webhook_endpoint', 'deleted_webhook_endpoint'],
  ...['billing_portal.session', 'billing_portal.configuration', 'billing.meter'],
  ...['billing.meter_event', 'billing.meter_event_adjustment', 'billing.meter_event_summary'],
  ...['test_helpers.test_clock', 'v2.core.event', 'v2.core.event_destination', 'plan'],
  ...['v2.billing.meter_event', 'v2.billing.meter_event_session', 'deleted_invoice'],
  ...['v2.billing.meter_event_adjustment', 'entitlements.active_entitlement'],
  ...['entitlements.active_entitlement_summary', 'entitlements.feature', 'deleted_invoiceitem'],
  ...['product_feature', 'deleted_product_feature', 'deleted_subscription_item'],
]
const DEPTH_MAX = 12

const isObj = (value: Json | undefined): value is Obj =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const at = (value: Json | undefined, key: string): Json | undefined =>
  isObj(value) ? value[key] : undefined
const strings = (value: Json | undefined): string[] =>
  Array.isArray(value) ? value.filter((part) => typeof part === 'string') : []

const [file = ''] = process.argv.slice(2)
const document: Json = JSON.parse(readFileSync(file, 'utf8')) as Json
const schemas = at(at(document, 'components'), 'schemas')

function resolve(schema: Json | undefined): Obj {
  const ref = at(schema, '$ref')
  if (typeof ref === 'string') return resolve(at(schemas, ref.split('/').at(-1) ?? ''))
  return isObj(schema) ? schema : {}
}

const typesOf = (schema: Obj): string[] =>
  typeof schema.type === 'string' ? [schema.type] : strings(schema.type)
const choices = (schema: Obj): Obj[] =>
  (Array.isArray(schema.anyOf) ? schema.anyOf : []).map(resolve)

function neutral(raw: Json | undefined, depth: number): Json {
  const schema = resolve(raw)
  const types = typesOf(schema)
  const any = choices(schema)
  if (types.includes('null') || any.some((part) => typesOf(part).includes('null'))) return null
  if (schema.const !== undefined) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0] ?? null
  if (any.length > 0) return neutral(any[0], depth + 1)
  if (types.includes('array')) return []
  if (types.includes('boolean')) return false
  if (types.includes('integer') || types.includes('number')) return 0
  if (types.includes('string')) return ''
  const filled: Obj = {}
  if (depth > DEPTH_MAX) return filled
  for (const name of strings(schema.required)) {
    filled[name] = neutral(at(schema.properties, name), depth + 1)
  }
  return filled
}

/** A tree of parameter names; `true` where anything below is free (metadata) or a plain value. */
function tree(raw: Json | undefined, depth: number): Json {
  const schema = resolve(raw)
  const any = choices(schema)
  if (any.length > 0) {
    const trees = any.map((part) => tree(part, depth + 1)).filter(isObj)
    return trees.length === 0 ? true : trees.reduce((all, one) => ({ ...all, ...one }), {})
  }
  if (typesOf(schema).includes('array')) return tree(schema.items, depth + 1)
  if (!isObj(schema.properties) || depth > DEPTH_MAX) return true
  const required = strings(schema.required)
  const named: Obj = {}
  for (const [name, part] of Object.entries(schema.properties)) {
    named[required.includes(name) ? `${name}!` : name] = tree(part, depth + 1)
  }
  return named
}

function parametersOf(operation: Json): Json {
  const content = at(at(operation, 'requestBody'), 'content')
  const media = isObj(content) ? Object.values(content)[0] : undefined
  if (media !== undefined) return tree(at(media, 'schema'), 0)
  const named: Obj = {}
  const listed = at(operation, 'parameters')
  for (const part of Array.isArray(listed) ? listed : []) {
    if (at(part, 'in') !== 'query') continue
    const [name = ''] = [at(part, 'name')].filter((value) => typeof value === 'string')
    named[at(part, 'required') === true ? `${name}!` : name] = tree(at(part, 'schema'), 0)
  }
  return named
}

const shapes = Object.fromEntries(
  OBJECTS.map((name) => [name, neutral(at(schemas, name), 0)] as const),
)
const parameters: Obj = {}
const paths = at(document, 'paths')
for (const [path, operations] of Object.entries(isObj(paths) ? paths : {})) {
  for (const [method, operation] of Object.entries(isObj(operations) ? operations : {})) {
    parameters[`${method.toUpperCase()} ${path}`] = parametersOf(operation)
  }
}
const folder = join(import.meta.dirname, '../src/demo/stripe')
writeFileSync(join(folder, 'shapes.json'), `${JSON.stringify(shapes, null, 1)}\n`)
writeFileSync(join(folder, 'parameters.json'), `${JSON.stringify(parameters, null, 1)}\n`)
