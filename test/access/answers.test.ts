import { expect, test } from 'vitest'
import { refusalOfFault } from '../../src/access/http/answers.ts'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { StoreAwayError } from '../../src/store/errors.ts'

const saidByPostgres = (code: string): Error =>
  Object.assign(new Error(code), { code, severity: 'ERROR' })

test.each([
  ['nothing was done: read-only', saidByPostgres('25006'), 'gateway_unavailable'],
  ['nothing was done: the disk is full', saidByPostgres('53100'), 'gateway_unavailable'],
  ['nothing was done: a lock', saidByPostgres('55P03'), 'gateway_unavailable'],
  ['nothing was done: no connection', new StoreAwayError('away'), 'gateway_unavailable'],
  ['nobody knows', new UnknownOutcomeError('no answer'), 'gateway_unavailable'],
  ['a text with NUL', saidByPostgres('22021'), 'invalid_request'],
  ['JSON with NUL', saidByPostgres('22P05'), 'invalid_request'],
  ['a fault of ours', saidByPostgres('42703'), 'internal_error'],
])('%s is told so that it is clear what to do', (_what, error, code) => {
  expect(refusalOfFault(error, 'one', silentLog).code).toBe(code)
})
