import { Command } from 'ioredis'
import { expect, it } from 'vitest'
import { respText } from '../../src/store/resp.ts'

const long = 'a'.repeat(300)

it.each([
  [['TIME']],
  [['SET', 'k', '']],
  [['EVALSHA', 'sha', 2, 'fb:{1}:a', 'fb:{1}:b', 9007199254740991, -1, 0, long, 'b'.repeat(255)]],
  [['SET', 'k', 'modèle', '模型', '\u{1f600}', '\r\n$1\r\n', '\0', long]],
] as const)('writes what the library writes: %#', (command) => {
  const [name, ...args] = command
  const theirs = new Command(name, args).toWritable({})
  expect(Buffer.from(respText(command))).toEqual(Buffer.from(theirs))
})
