import { invariant } from '../../kernel/invariant.ts'
import { micros } from '../../kernel/money.ts'
import type { HoldRef, HoldView } from '../commands.ts'

const RECORD = /^1 ([HS]) (\d+) (\d+) ([012]) (-?\d+) \d+ \d+ (\d+) (\S+) /

/** Reads a hold's record as include/hold.lua writes it. Throws InvariantError for any other. */
export function readRecord(accountId: string, holdId: string, text: string): HoldView {
  const match = RECORD.exec(text)
  invariant(match !== null, `hold record not understood: ${text}`)
  const [, state, amount, progress, rev, day, deadlineMs, keyId = ''] = match
  return {
    accountId,
    keyId,
    holdId,
    state: state === 'H' ? 'held' : 'settled',
    micros: micros(Number(amount)),
    progressMicros: micros(Number(progress)),
    rev: rev === '2' ? 2 : rev === '1' ? 1 : 0,
    day: Number(day),
    deadlineMs: Number(deadlineMs),
  }
}

/** A hold's name in `due`: hold, key, account, parted by blanks; only the last may hold one. */
export const dueMember = ({ holdId, keyId, accountId }: HoldRef): string =>
  `${holdId} ${keyId} ${accountId}`

/** Reads a member of `due`. Throws InvariantError where it has fewer than three parts. */
export function readDueMember(member: string): HoldRef {
  const match = /^(\S+) (\S+) (.+)$/s.exec(member)
  invariant(match !== null, `member of due not understood: ${member}`)
  const [, holdId = '', keyId = '', accountId = ''] = match
  return { holdId, keyId, accountId }
}
