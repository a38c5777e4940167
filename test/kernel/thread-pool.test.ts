import { afterEach, describe, expect, it } from 'vitest'
import {
  makeThreadPool,
  type Job,
  type ThreadPool,
  type ThreadPoolOptions,
} from '../../src/kernel/thread-pool.ts'
import { makeManualClock } from '../ledger/memory-clock.ts'

const WORK_MS = 1_000
const WAIT_MS = 5_000
const url = new URL('./thread-stand-in.ts', import.meta.url)
const busy = { ok: false, reason: 'busy' }
const lost = { ok: false, reason: 'lost' }

/** Time passes only where a test lets it: a slow machine is no slow thread. */
let clock = makeManualClock(0)
let pool: ThreadPool<string>
afterEach(() => pool.close())

function open(limits: Partial<ThreadPoolOptions> = {}) {
  clock = makeManualClock(0)
  pool = makeThreadPool<string>({
    ...{ clock, url, threads: 1, openMax: 6, waitMsMax: WAIT_MS },
    ...{ startMsMax: 60_000, workMsMax: WORK_MS, ...limits },
  })
}

/** Everything that was done, in its order. */
function recording() {
  const done: string[] = []
  const run = (word: string, job: Omit<Job, 'prepare'> = {}) => {
    const result = pool.run({ ...job, prepare: () => ({ message: word, transfer: [] }) })
    void result.then(({ ok }) => done.push(ok ? word : `not ${word}`))
    return result
  }
  return { run, done }
}

describe('a pool of threads', () => {
  it('tells of work lost where no thread starts, and where a task cannot be handed over', async () => {
    open({ url: new URL('https://farebox.example/no-thread') })
    const { run } = recording()
    expect([await run('1'), await run('2')]).toEqual([lost, lost])
    open()
    const odd = { message: () => undefined, transfer: [] } // no thread can be told a function
    const handOver = () => pool.run({ prepare: () => odd })
    const next = () => recording().run('next')
    const done = { ok: true, answer: 'next' }
    expect([await handOver(), await next()]).toEqual([lost, done]) // while it starts
    expect([await handOver(), await next()]).toEqual([lost, done])
  })

  it('lets owners take turns, and what is urgent go first', async () => {
    open()
    const { run, done } = recording()
    const all = [run('a1', { owner: 'a' }), run('a2', { owner: 'a' }), run('a3', { owner: 'a' })]
    all.push(run('b1', { owner: 'b' }), run('now', { owner: 'c', urgent: true }))
    await Promise.all(all)
    expect(done).toEqual(['a1', 'now', 'a2', 'b1', 'a3'])
  })

  it('takes so many, in all and of one owner; what is urgent does not count', async () => {
    open()
    const { run } = recording()
    const first = ['1', '2', '3'].map((word) => run(word, { owner: 'flood' }))
    expect(await run('4', { owner: 'flood' })).toEqual(busy)
    const others = ['5', '6', '7'].map((word) => run(word, { owner: `other ${word}` }))
    expect(await run('8', { owner: 'z' })).toEqual(busy)
    const urgent = run('9', { owner: 'flood', urgent: true })
    const all = await Promise.all([...first, ...others, urgent])
    expect(all.every(({ ok }) => ok)).toBe(true)
    expect(await run('10', { owner: 'flood' })).toEqual({ ok: true, answer: '10' })
  })

  it('goes on in another thread where one dies of its work, or takes too long over it', async () => {
    open()
    const { run } = recording()
    const [died, next] = [run('die'), run('next')]
    expect(await died).toEqual(lost)
    expect(await next).toEqual({ ok: true, answer: 'next' })
    const [hung, after] = [run('hang'), run('after')]
    await clock.pass(WORK_MS)
    expect(await hung).toEqual(lost)
    expect(await after).toEqual({ ok: true, answer: 'after' })
  })

  it('waits for what a job is made of, as long as for its work; what cannot be made is not done', async () => {
    open()
    const { run } = recording()
    const task = (message: string) => ({ message, transfer: [] })
    const late = pool.run({ prepare: () => Promise.resolve(task('late')) })
    expect(await late).toEqual({ ok: true, answer: 'late' })
    expect(await pool.run({ prepare: () => Promise.reject(new Error('no')) })).toEqual(lost)
    const never = pool.run({ prepare: () => new Promise(() => undefined) })
    const after = run('after')
    await clock.pass(WORK_MS)
    expect(await never).toEqual(lost)
    expect(await after).toEqual({ ok: true, answer: 'after' })
  })

  it('lets nothing wait for too long, and ends with all that is open', async () => {
    open({ workMsMax: 2 * WAIT_MS })
    const { run } = recording()
    expect(await run('ready')).toMatchObject({ ok: true })
    const stuck = run('hang')
    const waiting = run('waiting')
    await clock.pass(WAIT_MS)
    expect(await waiting).toEqual(busy)
    const late = run('late')
    await pool.close()
    expect(await Promise.all([stuck, late, run('closed')])).toEqual([busy, busy, busy])
  })
})
