import { readFileSync } from 'node:fs'

/**
 * Reads `<name>.sql` files of a folder once, at start. Comment lines are left out of what is sent.
 * Throws when a file is missing or empty. Source: CONTRIBUTING.md.
 *
 * @example
 * const sql = loadSql(new URL('./sql/', import.meta.url), ['lock-accounts', 'read-lots'])
 * await tx.query(sql['lock-accounts'], [ids])
 */
export function loadSql<const Name extends string>(
  dir: URL,
  names: readonly Name[],
): Readonly<Record<Name, string>> {
  const texts: Partial<Record<Name, string>> = {}
  for (const name of names) texts[name] = readStatement(new URL(`${name}.sql`, dir))
  return complete(texts, names)
}

function readStatement(file: URL): string {
  const lines = readFileSync(file, 'utf8').split('\n')
  const text = lines.filter((line) => !line.trimStart().startsWith('--')).join('\n')
  if (text.trim() === '') throw new Error(`${file.pathname} holds no statement`)
  return text.trim().replace(/;$/, '')
}

function complete<Name extends string>(
  texts: Partial<Record<Name, string>>,
  names: readonly Name[],
): Record<Name, string> {
  const isComplete = (some: Partial<Record<Name, string>>): some is Record<Name, string> =>
    names.every((name) => some[name] !== undefined)
  if (!isComplete(texts)) throw new Error('unreachable: every name was read')
  return texts
}
