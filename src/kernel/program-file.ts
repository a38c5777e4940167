/**
 * The URL of another module of this program, to be run as a thread or process of its own:
 * TypeScript in a checkout, JavaScript where it was built. `path` is relative to `importer` (its
 * import.meta.url), without extension.
 */
export function programFile(path: string, importer: string): URL {
  const extension = importer.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`${path}.${extension}`, importer)
}
