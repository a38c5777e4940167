/** A command for Redis: its name and its arguments. */
export type Command = readonly [string, ...(string | number)[]]

/** The beginnings of short arguments, which nearly all are. */
const HEADS = Array.from({ length: 256 }, (_, bytes) => `\r\n$${bytes}\r\n`)

const headOf = (bytes: number): string => HEADS[bytes] ?? `\r\n$${bytes}\r\n`

/** A command as Redis reads it: an array of bulk strings of RESP, each with its length in bytes. */
export function respText(command: Command): string {
  let text = `*${command.length}`
  for (const part of command) {
    const argument = typeof part === 'string' ? part : String(part)
    text += headOf(argument.length) + argument
  }
  text += '\r\n'
  // Nearly all is ASCII, of which each character is a byte.
  return Buffer.byteLength(text) === text.length ? text : measuredText(command)
}

function measuredText(command: Command): string {
  const parts = command.map(String)
  const texts = parts.map((argument) => headOf(Buffer.byteLength(argument)) + argument)
  return `*${command.length}${texts.join('')}\r\n`
}
