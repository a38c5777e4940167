import { z } from 'zod'
import type { Operations } from '../../admin/operations.ts'
import { doctorReport, type DoctorReport } from '../../reconcile/doctor.ts'
import { verifyReport, type VerifyReport } from '../../reconcile/verify.ts'
import { NoServerError, RefusedError } from './client.ts'
import { FAILED, globalsOf, OK, optionsOf, UsageError, type Cli } from './context.ts'
import { table } from './table.ts'

/**
 * Asks the running server, or, where none runs and DATABASE_URL names the stores, does it here.
 * A server that was named and does not answer is an error: it may have stores of its own.
 */
async function ask(
  cli: Cli,
  path: string,
  body: { readonly account_id?: string | undefined },
  here: (operations: Operations) => Promise<unknown>,
): Promise<unknown> {
  const { deps } = cli
  const isNamed = deps.url !== null || globalsOf(cli.program).url !== undefined
  try {
    return await cli.client().send('POST', path, body)
  } catch (error) {
    const isNobody = error instanceof NoServerError || error instanceof UsageError
    if (!isNobody || isNamed || deps.openLocal === null) throw error
  }
  const local = await deps.openLocal()
  try {
    const answer = await here(local.operations)
    if (answer !== null) return answer
    throw new RefusedError(`There is no account ${body.account_id ?? ''}. (not_found)`)
  } finally {
    await local.close()
  }
}

function verifyText(report: VerifyReport): string {
  const { accounts, accounts_loaded: loaded, keys_loaded: keys, holds, duration_ms: ms } = report
  const scope = `${accounts} accounts (${loaded} loaded), ${keys} keys, ${holds} holds in ${ms} ms`
  const undecided =
    report.undecided.length === 0 ? '' : `\n${report.undecided.length} changed too fast to judge.`
  if (report.ok) return `All invariants hold: ${scope}.${undecided}`
  const rows = report.breaches.map((one) => [
    ...[one.invariant, one.account_id, one.subject, one.detail],
  ])
  const list = table(['RULE', 'ACCOUNT', 'SUBJECT', 'DETAIL'], rows)
  return `${report.breaches_total} breaches: ${scope}.${undecided}\n\n${list}`
}

function doctorText(report: DoctorReport): string {
  const rows = report.findings.map((one) => [
    ...[one.status.toUpperCase(), one.check, one.detail, one.fix],
  ])
  return table(['', 'CHECK', 'FOUND', 'TO DO'], rows)
}

const which = z.object({ account: z.string().optional() })

export function operationCommands(cli: Cli): void {
  const { program, run, show } = cli
  program
    .command('verify')
    .description('check the invariants on the live stores; exit code 1 on a breach')
    .option('--account <id>', 'only this one')
    .action((given: unknown) =>
      run(async () => {
        const { account } = optionsOf(which, given)
        const answer = await ask(cli, '/verify', { account_id: account }, (operations) =>
          operations.verify(account ?? null),
        )
        show(answer, verifyReport, verifyText)
        return verifyReport.parse(answer).ok ? OK : FAILED
      }),
    )
  program
    .command('doctor')
    .description('check how the stores are set up; exit code 1 where something must be done')
    .action(() =>
      run(async () => {
        const answer = await ask(cli, '/doctor', {}, (operations) => operations.doctor())
        show(answer, doctorReport, doctorText)
        return doctorReport.parse(answer).ok ? OK : FAILED
      }),
    )
  repairCommands(cli)
}

const rebuilt = z.object({ accounts: z.int(), keys: z.int(), failed: z.int() })
const recovered = z.object({ ended: z.int(), left: z.int() })

function repairCommands(cli: Cli): void {
  const { program, run, show, deps } = cli
  program
    .command('rebuild')
    .description('load accounts and keys from Postgres into the credit engine')
    .option('--account <id>', 'only this one')
    .action((given: unknown) =>
      run(async () => {
        const { account } = optionsOf(which, given)
        const answer = await ask(cli, '/rebuild', { account_id: account }, (operations) =>
          operations.rebuild(account ?? null),
        )
        show(answer, rebuilt, (one) => {
          return `Loaded ${one.accounts} accounts and ${one.keys} keys; ${one.failed} failed.`
        })
        return rebuilt.parse(answer).failed === 0 ? OK : FAILED
      }),
    )
  program
    .command('recover')
    .description('end holds whose lease lapsed (holds.lease_ms after their gateway ended), now')
    .action(() =>
      run(async () => {
        const answer = await ask(cli, '/recover', {}, (operations) => operations.recover())
        show(answer, recovered, (one) => `Ended ${one.ended} holds; ${one.left} left.`)
        return recovered.parse(answer).left === 0 ? OK : FAILED
      }),
    )
  program
    .command('migrate')
    .description('bring DATABASE_URL forward (serve does it too)')
    .action(() =>
      run(async () => {
        if (deps.migrate === null) {
          throw new UsageError('set DATABASE_URL; the embedded database migrates when it starts')
        }
        const { applied } = await deps.migrate()
        return show({ applied }, z.object({ applied: z.array(z.string()) }), () =>
          applied.length === 0 ? 'Nothing to do.' : `Applied ${applied.join(', ')}.`,
        )
      }),
    )
}
