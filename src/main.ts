#!/usr/bin/env node
import { cliDeps } from './app/cli/deps.ts'
import { runCli } from './cli.ts'
import { ConfigError, readEnvironment } from './config.ts'

try {
  process.exitCode = await runCli(process.argv.slice(2), cliDeps(readEnvironment()))
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  process.stderr.write(`farebox: ${error.message}\n`)
  process.exitCode = 2
}
