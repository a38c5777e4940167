import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** A command's script: the same text for everybody but for the number of incarnation. */
export interface LuaSource {
  /** `#!lua` and its flags: must be the first line. */
  readonly shebang: string
  readonly body: string
}

export interface LuaScript {
  readonly sha: string
  readonly text: string
}

/**
 * Reads `<name>.lua` files of a folder once, at start. `-- @include a b` takes in include/a.lua
 * and include/b.lua; comment lines are left out of what is sent, so that a changed comment is not
 * another script. Throws where a file is missing or does not begin with `#!lua`.
 * Source: CONTRIBUTING.md.
 */
export function loadLua<const Name extends string>(
  dir: URL,
  names: readonly Name[],
): ReadonlyMap<Name, LuaSource> {
  return new Map(names.map((name) => [name, readSource(dir, name)]))
}

function readSource(dir: URL, name: string): LuaSource {
  const [shebang = '', ...lines] = readFileSync(new URL(`${name}.lua`, dir), 'utf8').split('\n')
  if (!/^#!lua( flags=[a-z,-]+)?$/.test(shebang)) throw new Error(`${name}.lua: no #!lua line`)
  const included = lines.flatMap((line) => /^-- @include (.+)$/.exec(line)?.[1]?.split(' ') ?? [])
  const parts = included.map((part) =>
    readFileSync(new URL(`include/${part}.lua`, dir), 'utf8').split('\n'),
  )
  const code = [...parts.flat(), ...lines].filter((line) => !/^\s*(--.*)?$/.test(line))
  return { shebang, body: code.join('\n') }
}

/** One number for all scripts of a folder: tells two releases with other scripts apart. */
export function digestOf(sources: Iterable<LuaSource>): string {
  const hash = createHash('sha256')
  for (const { shebang, body } of sources) hash.update(`${shebang}\n${body}\n`)
  return hash.digest('hex').slice(0, 8)
}

/** The script of one incarnation: its number is part of the SHA. Source: design §4. */
export function numbered({ shebang, body }: LuaSource, inc: number): LuaScript {
  const text = `${shebang}\nlocal INC = '${String(inc)}'\n${body}\n`
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}
