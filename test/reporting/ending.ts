import type { Db, Tx } from '../../src/store/db.ts'

export class EndedError extends Error {}

/** A database whose process ends at the n-th statement, before it or after it; dead from then on. */
export function endingAt(n: number, when: 'before' | 'after') {
  const state = { left: n, ended: false }
  async function at<T>(run: () => Promise<T>): Promise<T> {
    if (state.ended) throw new EndedError()
    state.left -= 1
    const isLast = state.left === 0
    if (isLast) state.ended = true
    if (isLast && when === 'before') throw new EndedError()
    const answer = await run()
    if (isLast) throw new EndedError()
    return answer
  }
  const wrapTx = (tx: Tx): Tx => ({ query: (...args) => at(() => tx.query(...args)) })
  const wrap = (db: Db): Db => ({
    ...db,
    query: (...args) => at(() => db.query(...args)),
    tx: (run, options) => at(() => db.tx((tx) => run(wrapTx(tx)), options)),
  })
  return { wrap, state }
}
