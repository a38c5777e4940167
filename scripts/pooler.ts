import { findPooler } from '../test/support/servers.ts'
import { obtainProgram } from './optional-package.ts'

/** The transaction pooler that tests put between gateways and Postgres. */
export const obtainPooler = (): Promise<string | null> =>
  obtainProgram({
    name: 'pgbouncer',
    find: findPooler,
    debianPackage: 'pgbouncer',
    otherwise:
      'tests through a transaction pooler are left out. Install pgbouncer (Debian: apt-get ' +
      'install pgbouncer; macOS: brew install pgbouncer).',
  })
