import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Makes this process the owner of a directory, by a file that names it. A file left behind by a
 * process that is gone is taken over. Throws an Error that says who owns the directory.
 * Returns the way to give it back.
 */
export function lockDirectory(dir: string): () => void {
  const file = join(dir, 'owner.lock')
  const mine = describeProcess(process.pid)
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, mine)
  try {
    if (!take(draft, file)) {
      removeStale(file, dir)
      if (!take(draft, file)) throw owned(dir, readFileSync(file, 'utf8'))
    }
  } finally {
    rmSync(draft, { force: true })
  }
  return () => {
    if (readIfThere(file) === mine) unlinkSync(file)
  }
}

/** A link is made or is not, complete either way; creating and then writing would be two steps. */
function take(draft: string, file: string): boolean {
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  }
}

/** Moves the file aside first: of two processes that find it stale only one can. */
function removeStale(file: string, dir: string): void {
  const owner = readIfThere(file)
  if (owner === null) return
  if (isRunning(owner)) throw owned(dir, owner)
  const aside = `${file}.stale.${process.pid}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if (isCode(error, 'ENOENT')) return
    throw error
  }
  // Someone else was quicker and this is their file: give it back.
  if (readFileSync(aside, 'utf8') !== owner) take(aside, file)
  rmSync(aside, { force: true })
}

const owned = (dir: string, owner: string): Error =>
  new Error(
    `${dir} is in use by process ${owner.split(' ')[0] ?? '?'}: one process owns an embedded ` +
      'database. Stop it, use its admin API, or set DATABASE_URL to share a Postgres.',
  )

/** "<pid> <start time>": a pid alone may belong to another process by now, as in a container. */
function describeProcess(pid: number): string {
  return `${pid} ${startTime(pid) ?? 'unknown'}`
}

function isRunning(owner: string): boolean {
  const pid = Number(owner.split(' ')[0])
  if (!Number.isInteger(pid) || pid <= 0) return false
  if (describeProcess(pid) !== owner) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return isCode(error, 'EPERM')
  }
}

/** Clock ticks since boot at which the process started; null where there is no /proc. */
function startTime(pid: number): string | null {
  const stat = readIfThere(`/proc/${pid}/stat`)
  // The command name, in brackets, may hold spaces; the start time is field 22.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ESRCH')) return null
    throw error
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
