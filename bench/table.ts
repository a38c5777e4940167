/** A figure with so many decimals. */
export const number = (value: number, decimals: number): string => value.toFixed(decimals)

/** Prints a Markdown table. */
export function print(
  title: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  console.log(`\n### ${title}\n`)
  console.log(line(heads))
  console.log(line(heads.map((_, index) => (index === 0 ? '---' : '---:'))))
  for (const row of rows) console.log(line(row))
}
