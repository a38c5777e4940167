/**
 * One line of CSV (RFC 4180), without its end. What a spreadsheet would take for a formula gets an
 * apostrophe: names and e-mails are written by strangers.
 */
export const csvLine = (cells: readonly (string | number)[]): string =>
  cells
    .map((cell) => {
      const text = String(cell)
      const isFormula = /^[=+@\t\r]/.test(text) || (text.startsWith('-') && !/^-[\d.]+$/.test(text))
      const safe = isFormula ? `'${text}` : text
      return /[",\n\r;]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
    })
    .join(',')
