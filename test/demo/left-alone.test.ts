import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

it.each(['upstream', 'stripe'])(
  'the demo %s ends quietly where nobody hears it',
  async (name) => {
    const file = fileURLToPath(new URL(`../../src/demo/${name}.ts`, import.meta.url))
    const child = spawn(process.execPath, [file], { stdio: ['pipe', 'pipe', 'pipe'] })
    child.stdout.destroy()
    let told = ''
    child.stderr.on('data', (text: Buffer) => (told += text.toString()))
    await once(child, 'close')
    expect({ code: child.exitCode, told }).toEqual({ code: 0, told: '' })
  },
  30_000,
)
