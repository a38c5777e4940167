import { Command, CommanderError } from 'commander'
import { accountCommands } from './app/cli/accounts.ts'
import { makeAdminClient, NoServerError, RefusedError } from './app/cli/client.ts'
import {
  FAILED,
  globalsOf,
  OK,
  USAGE,
  UsageError,
  type Cli,
  type CliDeps,
} from './app/cli/context.ts'
import { auditCommand, standardIo } from './app/cli/audit.ts'
import { entitlementCommands } from './app/cli/entitlements.ts'
import { keyCommands } from './app/cli/keys.ts'
import { correctionCommands } from './app/cli/corrections.ts'
import { marginCommands } from './app/cli/margins.ts'
import { meterCommands } from './app/cli/meters.ts'
import { moneyCommands } from './app/cli/money.ts'
import { operationCommands } from './app/cli/operations.ts'
import { priceCommands } from './app/cli/prices.ts'
import { notificationCommands } from './app/cli/notifications.ts'
import { rechargeCommands } from './app/cli/recharge.ts'
import { reconcileCommands } from './app/cli/reconcile.ts'
import { replayCommand } from './app/cli/replay.ts'
import { stripeCommands } from './app/cli/stripe.ts'
import { configJsonSchema } from './config-schema.ts'
import { describeError } from './kernel/log.ts'

function makeProgram(deps: CliDeps): Command {
  return new Command('farebox')
    .description(
      'A usage metering gateway for AI: prepaid credits, exactly one charge per request.',
    )
    .version(deps.version)
    .option('--json', 'answers as JSON')
    .option('--url <url>', 'a running server; default FAREBOX_URL, then .farebox/quickstart.json')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        deps.out(text.trimEnd())
      },
      writeErr: (text) => {
        deps.err(text.trimEnd())
      },
    })
}

/** What went wrong, for people, and the exit code. */
function explain(error: unknown, deps: CliDeps): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? OK : USAGE
  if (error instanceof UsageError) {
    deps.err(`farebox: ${error.message}`)
    return USAGE
  }
  if (error instanceof NoServerError) {
    deps.err(`farebox: ${error.message}. Start one with "farebox serve", or name it with --url.`)
    return FAILED
  }
  deps.err(`farebox: ${error instanceof RefusedError ? error.message : describeError(error)}`)
  return FAILED
}

function makeCli(program: Command, deps: CliDeps, exit: { code: number }): Cli {
  return {
    deps,
    program,
    async run(work) {
      exit.code = await work()
    },
    client() {
      const url = globalsOf(program).url ?? deps.url ?? deps.quickstart?.base_url
      const token = deps.adminToken ?? deps.quickstart?.admin_token
      if (url === undefined)
        throw new UsageError('set FAREBOX_URL to the running server, like http://127.0.0.1:8080')
      if (token === undefined) throw new UsageError('set FAREBOX_ADMIN_TOKEN')
      return makeAdminClient({ url, token, fetch: deps.fetch })
    },
    show(answer, schema, text) {
      const isJson = globalsOf(program).json
      deps.out(isJson ? JSON.stringify(answer, null, 2) : text(schema.parse(answer)))
      return OK
    },
  }
}

/**
 * Runs one command. `args` without node and script; none = serve. Answers the exit code: 0 done,
 * 1 refused, failed or breached, 2 wrong use. Source: design §5 (commands go through the running
 * server).
 */
export async function runCli(args: readonly string[], deps: CliDeps): Promise<number> {
  const program = makeProgram(deps)
  const exit = { code: OK }
  const cli = makeCli(program, deps, exit)
  program
    .command('serve')
    .description('run the gateway')
    .action(() => cli.run(() => deps.serve()))
  program
    .command('schema')
    .description('the JSON Schema of farebox.yaml, for editors')
    .action(() =>
      cli.run(() => {
        deps.out(JSON.stringify(configJsonSchema(), null, 2))
        return Promise.resolve(OK)
      }),
    )
  for (const register of [
    accountCommands,
    keyCommands,
    entitlementCommands,
    moneyCommands,
    correctionCommands,
    priceCommands,
    operationCommands,
    notificationCommands,
    meterCommands,
    marginCommands,
    stripeCommands,
    rechargeCommands,
    reconcileCommands,
    replayCommand,
  ]) {
    register(cli)
  }
  auditCommand(program, cli.run, standardIo)
  try {
    await program.parseAsync(args.length === 0 ? ['serve'] : [...args], { from: 'user' })
    return exit.code
  } catch (error) {
    return explain(error, deps)
  }
}
