import type { Advice } from './doctor.ts'

/** What a finding looks like when it is fine, and when it is not. */
export const fine = (check: string, detail: string): Advice => ({
  check,
  status: 'ok',
  detail,
  fix: '',
})

export const warn = (check: string, detail: string, fix: string): Advice => ({
  check,
  status: 'warn',
  detail,
  fix,
})

export const fail = (check: string, detail: string, fix: string): Advice => ({
  check,
  status: 'fail',
  detail,
  fix,
})
