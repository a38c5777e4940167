/** Compiles a glob in which `*` stands for any run of characters, everything else for itself. */
export function compileGlob(glob: string): (text: string) => boolean {
  const parts = glob.split('*')
  const [first = ''] = parts
  if (parts.length === 1) return (text) => text === first
  const last = parts.at(-1) ?? ''
  const middle = parts.slice(1, -1)
  return (text) => {
    if (text.length < first.length + last.length) return false
    if (!text.startsWith(first) || !text.endsWith(last)) return false
    let from = first.length
    const to = text.length - last.length
    for (const part of middle) {
      const at = text.indexOf(part, from)
      if (at < 0 || at + part.length > to) return false
      from = at + part.length
    }
    return true
  }
}

/** True where one of the globs matches, or where there are none to match (null = everything). */
export function matchesAny(globs: readonly string[] | null, text: string): boolean {
  return globs === null || globs.some((glob) => compileGlob(glob)(text))
}
