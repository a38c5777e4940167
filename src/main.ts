#!/usr/bin/env node
const args = process.argv.slice(2)
if (args[0] === 'audit') {
  // Alone: it needs no environment, and its memory is for the files that it reads.
  const { auditInThread } = await import('./app/cli/audit-alone.ts')
  process.exitCode = await auditInThread(args)
} else {
  const { main } = await import('./app/cli/main.ts')
  process.exitCode = await main(args)
}
