import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'

/** One call as the simulator's `/_control/calls` lists it. */
export interface SeenCall {
  readonly method: string
  readonly operation: string | null
  readonly input: unknown
  readonly status: number
  readonly answer: unknown
}

/** What Stripe's OpenAPI document (env STRIPE_OPENAPI) has against a call; null where unset. */
export function makeOpenapiCheck(file: string | undefined): ((call: SeenCall) => string[]) | null {
  if (file === undefined || file === '') return null
  const document: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof document !== 'object' || document === null) throw new Error('not a document')
  const options = { strict: false, allErrors: true, validateFormats: false } as const
  const requests = new Ajv2020({ ...options, coerceTypes: true })
  const answers = new Ajv2020(options)
  requests.addSchema(document, 'stripe')
  answers.addSchema(document, 'stripe')
  const escape = (part: string): string => part.replaceAll('~', '~0').replaceAll('/', '~1')
  const look = (ajv: Ajv2020, pointer: string, value: unknown): string[] => {
    const validate = ajv.getSchema(`stripe#${pointer}`)
    if (validate === undefined) return [`no schema at ${pointer}`]
    if (validate(structuredClone(value)) === true) return []
    return (validate.errors ?? []).map((e) => `${pointer}: ${e.instancePath} ${e.message ?? ''}`)
  }
  return ({ method, operation, input, status, answer }) => {
    if (operation === null || status !== 200) return []
    const [, path = ''] = operation.split(' ')
    const base = `/paths/${escape(path)}/${method.toLowerCase()}`
    const media = path.startsWith('/v2/') ? 'application/json' : 'application/x-www-form-urlencoded'
    const body = `${base}/requestBody/content/${escape(media)}/schema`
    const asked = method === 'POST' && JSON.stringify(input) !== '{}'
    // The document describes v1 events as v2's.
    const known = !path.startsWith('/v1/events')
    return [
      ...(asked ? look(requests, body, input) : []),
      ...(known
        ? look(answers, `${base}/responses/200/content/application~1json/schema`, answer)
        : []),
    ]
  }
}
