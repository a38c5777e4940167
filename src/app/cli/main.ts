import { runCli } from '../../cli.ts'
import { ConfigError, readEnvironment } from '../../config.ts'
import { cliDeps } from './deps.ts'

/** Runs a command with this process's environment. Answers the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await runCli(args, cliDeps(readEnvironment()))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`farebox: ${error.message}\n`)
    return 2
  }
}
