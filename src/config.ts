import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { LineCounter, parseDocument, type Document } from 'yaml'
import type { z } from 'zod'
import { configSchema, type Config } from './config-schema.ts'

export type { Config } from './config-schema.ts'

/** Wrong configuration. The message names the place and what to do; nothing else is printed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** What the environment says. This file is its only reader. Source: design §10. */
export interface Environment {
  readonly host: string
  readonly port: number
  readonly databaseUrl: string | null
  readonly redisUrl: string | null
  readonly configPath: string | null
  readonly adminToken: string | null
  readonly logLevel: string
  readonly workers: number
  /** Which worker of a supervisor this process is, from 1; null = none. */
  readonly worker: number | null
  readonly openaiApiKey: string | null
  readonly anthropicApiKey: string | null
  readonly geminiApiKey: string | null
  /** 'live' where the Stripe key is a live one, else 'test'. Source: design §1. */
  readonly mode: 'test' | 'live'
  /** null = no key: nothing is sold here. */
  readonly stripe: StripeEnvironment | null
  /** Where a running server answers, for the commands of the CLI; null = quickstart's. */
  readonly cliUrl: string | null
  readonly variables: Readonly<Record<string, string | undefined>>
}

/** How Stripe is reached and its webhooks are checked. */
export interface StripeEnvironment {
  readonly secretKey: string
  /** Several while one is being rolled; empty = webhooks are refused. */
  readonly webhookSecrets: readonly string[]
  /** Another server than Stripe's own, such as the simulator; null = Stripe. */
  readonly apiBase: string | null
}

const orNull = (value: string | undefined): string | null =>
  value === undefined || value === '' ? null : value

function wholeNumber(name: string, value: string | undefined, fallback: number): number {
  if (value === undefined || value === '') return fallback
  const parsed = Number(value)
  if (Number.isInteger(parsed) && parsed >= 0 && parsed <= 65_535) return parsed
  throw new ConfigError(`${name} must be a whole number from 0 to 65535, not "${value}".`)
}

function workersOf(value: string | undefined): number {
  const workers = value === 'auto' ? availableParallelism() : Number(orNull(value) ?? 1)
  if (Number.isInteger(workers) && workers >= 1 && workers <= 1_024) return workers
  throw new ConfigError(
    `WORKERS must be "auto" or a whole number from 1 to 1024, not "${value ?? workers}".`,
  )
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent']

function logLevelOf(value: string | undefined): string {
  const level = orNull(value) ?? 'info'
  if (LOG_LEVELS.includes(level)) return level
  throw new ConfigError(`LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}, not "${level}".`)
}

/** Keys of two installations would mix in one database, whatever prefix their URLs name. */
function redisUrlOf(value: string | undefined): string | null {
  const url = orNull(value)
  if (url === null || !/[?&]keyPrefix=/.test(url)) return url // also of a socket's path
  throw new ConfigError('REDIS_URL: there is no keyPrefix; use a Redis or a database of your own.')
}

function stripeOf(env: NodeJS.ProcessEnv): StripeEnvironment | null {
  const secretKey = orNull(env.STRIPE_SECRET_KEY)
  if (secretKey === null) return null
  const apiBase = orNull(env.STRIPE_API_BASE)
  if (apiBase !== null && !/^https?:$/.test(URL.parse(apiBase)?.protocol ?? '')) {
    throw new ConfigError(`STRIPE_API_BASE must be an http or https URL, not "${apiBase}".`)
  }
  const secrets = (env.STRIPE_WEBHOOK_SECRET ?? '').split(',').map((secret) => secret.trim())
  return { secretKey, webhookSecrets: secrets.filter((secret) => secret !== ''), apiBase }
}

export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  const liveKey = /^(sk|rk)_live_/.test(env.STRIPE_SECRET_KEY ?? '')
  return {
    host: orNull(env.HOST) ?? '127.0.0.1',
    port: wholeNumber('PORT', env.PORT, 8080),
    databaseUrl: orNull(env.DATABASE_URL),
    redisUrl: redisUrlOf(env.REDIS_URL),
    configPath: orNull(env.FAREBOX_CONFIG),
    adminToken: orNull(env.FAREBOX_ADMIN_TOKEN),
    logLevel: logLevelOf(env.LOG_LEVEL),
    workers: workersOf(env.WORKERS),
    worker: env.FAREBOX_WORKER === undefined ? null : Number(env.FAREBOX_WORKER),
    openaiApiKey: orNull(env.OPENAI_API_KEY),
    anthropicApiKey: orNull(env.ANTHROPIC_API_KEY),
    geminiApiKey: orNull(env.GEMINI_API_KEY),
    mode: liveKey ? 'live' : 'test',
    stripe: stripeOf(env),
    cliUrl: orNull(env.FAREBOX_URL),
    variables: env,
  }
}

const VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g

/** Puts the environment's values where the text says `${NAME}`; a missing one is an error. */
function interpolate(value: unknown, env: Environment['variables'], path: string): unknown {
  if (typeof value === 'string') {
    return value.replace(VARIABLE, (_match, name: string) => {
      const found = env[name]
      if (found === undefined) {
        throw new ConfigError(`${path}: the environment variable ${name} is not set.`)
      }
      return found
    })
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => interpolate(item, env, `${path}[${index}]`))
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      interpolate(item, env, path === '' ? name : `${path}.${name}`),
    ]),
  )
}

/** "farebox.yaml:12" for the node at a path, or the nearest parent that exists. */
function placeOf(
  file: string,
  document: Document,
  lines: LineCounter,
  path: PropertyKey[],
): string {
  for (let length = path.length; length > 0; length -= 1) {
    const node: unknown = document.getIn(path.slice(0, length), true)
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) {
      const start: unknown = node.range[0]
      if (typeof start === 'number') return `${file}:${lines.linePos(start).line}`
    }
  }
  return file
}

function explain(file: string, document: Document, lines: LineCounter, error: z.ZodError): string {
  const rows = error.issues.slice(0, 10).map((issue) => {
    const where = placeOf(file, document, lines, issue.path)
    return `${where}: ${issue.path.map(String).join('.') || '(top level)'}: ${issue.message}`
  })
  return `The configuration is not valid.\n${rows.join('\n')}`
}

/** Reads and checks a configuration text. Throws ConfigError with file, line and reason. */
export function parseConfig(text: string, file: string, env: Environment['variables']): Config {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: true })
  const [broken] = document.errors
  if (broken !== undefined) throw new ConfigError(`${file}: ${broken.message}`)
  const parsed: unknown = document.toJS() ?? {}
  const result = configSchema.safeParse(interpolate(parsed, env, ''))
  if (!result.success) throw new ConfigError(explain(file, document, lines, result.error))
  return result.data
}

/** Reads the configuration file; null path = the defaults. */
export function loadConfig(environment: Environment): Config {
  const { configPath, variables } = environment
  if (configPath === null) return configSchema.parse({})
  let text: string
  try {
    text = readFileSync(configPath, 'utf8')
  } catch {
    throw new ConfigError(`${configPath}: the file cannot be read. Check FAREBOX_CONFIG.`)
  }
  return parseConfig(text, configPath, variables)
}
