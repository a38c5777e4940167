import type { Command } from 'commander'
import { z } from 'zod'
import type { Operations } from '../../admin/operations.ts'
import type { SetupReport } from '../../billing/setup.ts'
import type { ReplayReport } from '../../reconcile/replay/replay.ts'
import type { SetupOptions } from '../stripe-setup.ts'
import type { AdminClient } from './client.ts'

/** Exit codes. Source: design §6 (verify exits with an error on a breach). */
export const OK = 0
export const FAILED = 1
export const USAGE = 2

/** Stores opened by the command itself, where no server runs. */
export interface LocalOperations {
  readonly operations: Operations
  close(): Promise<void>
}

export interface CliDeps {
  readonly version: string
  /** FAREBOX_URL; null = not set. */
  readonly url: string | null
  /** FAREBOX_ADMIN_TOKEN; null = not set. */
  readonly adminToken: string | null
  /** What `serve` left for the commands of this folder; null = nothing. */
  readonly quickstart: { readonly base_url: string; readonly admin_token: string } | null
  /** Runs the gateway until it is told to stop; answers the exit code. */
  serve(): Promise<number>
  /** Applies migrations to DATABASE_URL; null = not set. */
  readonly migrate: (() => Promise<{ readonly applied: readonly string[] }>) | null
  /** Opens DATABASE_URL and REDIS_URL; null = not set. */
  readonly openLocal: (() => Promise<LocalOperations>) | null
  readonly setUpStripe: (options: SetupOptions) => Promise<SetupReport>
  /** Replays DATABASE_URL into another database. */
  readonly replay: (into: string, progress: (text: string) => void) => Promise<ReplayReport>
  readonly fetch: typeof fetch
  readonly newReference: () => string
  out(text: string): void
  err(text: string): void
}

/** What commands are written against. */
export interface Cli {
  readonly deps: CliDeps
  readonly program: Command
  /** Registers what a command does; it answers its exit code. */
  readonly run: (work: () => Promise<number>) => Promise<void>
  readonly client: () => AdminClient
  /** With `--json` the answer as it came, else what `text` makes of it. */
  readonly show: <T extends z.ZodType>(
    answer: unknown,
    schema: T,
    text: (value: z.output<T>) => string,
  ) => number
}

/** Wrong use, found after parsing. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const globals = z.object({ json: z.boolean().default(false), url: z.string().optional() })

export const globalsOf = (program: Command): z.output<typeof globals> =>
  globals.parse(program.opts())

/** Options of one command, as commander gives them. */
export function optionsOf<T extends z.ZodType>(schema: T, given: unknown): z.output<T> {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const option = String(issue?.path[0] ?? '').replace(/[A-Z]/g, (letter) => `-${letter}`)
  const isNoNumber = issue?.code === 'invalid_type' && issue.expected === 'number'
  const problem = isNoNumber ? 'must be a number' : (issue?.message ?? 'not valid')
  throw new UsageError(`--${option.toLowerCase()}: ${problem}`)
}

/** An amount as bodies show it, in credits. */
export const amount = z.object({ credits: z.string() }).transform((value) => value.credits)
export const amountOrNull = amount.nullable()
