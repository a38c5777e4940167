import { describe, expect, it } from 'vitest'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import { imageSize } from '../../src/protocols/image-size.ts'
import { audioTokensMax, imageRuleOf, imageTokensMax } from '../../src/protocols/media-bounds.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'

function png(width: number, height: number): Buffer {
  const head = Buffer.alloc(33)
  Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex').copy(head)
  head.writeUInt32BE(width, 16)
  head.writeUInt32BE(height, 20)
  return head
}

function gif(width: number, height: number): Buffer {
  const head = Buffer.from('GIF89a\0\0\0\0\0\0\0', 'latin1')
  head.writeUInt16LE(width, 6)
  head.writeUInt16LE(height, 8)
  return head
}

/** A JPEG head with `padding` bytes of metadata before the frame. */
function jpeg(width: number, height: number, padding: number): Buffer {
  const parts = [Buffer.from([0xff, 0xd8])]
  for (let left = padding; left > 0; left -= 60_000) {
    const segment = Buffer.alloc(2 + Math.min(left, 60_000) + 2, 0xff)
    segment.writeUInt16BE(0xffe1, 0)
    segment.writeUInt16BE(segment.length - 2, 2)
    parts.push(segment)
  }
  const frame = Buffer.from([0xff, 0xff, 0xc2, 0, 17, 8, 0, 0, 0, 0, 3, 0])
  frame.writeUInt16BE(height, 6)
  frame.writeUInt16BE(width, 8)
  return Buffer.concat([...parts, frame])
}

function webp(kind: 'VP8 ' | 'VP8L' | 'VP8X', width: number, height: number): Buffer {
  const head = Buffer.alloc(40)
  head.write(`RIFF\0\0\0\0WEBP${kind}`, 'latin1')
  if (kind === 'VP8X') {
    head.writeUIntLE(width - 1, 24, 3)
    head.writeUIntLE(height - 1, 27, 3)
  } else if (kind === 'VP8L') {
    head.writeUInt32LE((width - 1) | ((height - 1) << 14), 21)
  } else {
    head.writeUInt16LE(width | 0x4000, 26)
    head.writeUInt16LE(height | 0x8000, 28)
  }
  return head
}

describe('the size of an image', () => {
  it('is read from the head of every format providers take', () => {
    const size = { width: 1023, height: 77 }
    const heads = [
      png(1023, 77),
      gif(1023, 77),
      jpeg(1023, 77, 0),
      jpeg(1023, 77, 150_000),
      webp('VP8 ', 1023, 77),
      webp('VP8L', 1023, 77),
      webp('VP8X', 1023, 77),
    ]
    for (const head of heads) expect(imageSize(head)).toEqual(size)
  })

  it('is unknown, not wrong, for what is cut, empty, damaged or another format', () => {
    const bad = [
      png(1, 1).subarray(0, 20),
      jpeg(9, 9, 500).subarray(0, 300),
      png(0, 5),
      Buffer.alloc(0),
    ]
    bad.push(
      Buffer.from('RIFF....WEBPABCD0123456789012345678901234'),
      Buffer.from([0xff, 0xd8, 1, 2]),
    )
    bad.push(Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xe0, 0, 0, 0, 0, 0]))
    for (const head of bad) expect(imageSize(head)).toBeNull()
  })
})

describe('the bound of an image', () => {
  const tokens = (head: Buffer, model: string): number =>
    imageTokensMax(head.toString('base64'), imageRuleOf('openai', model))

  it('covers what providers document', () => {
    expect(tokens(png(1024, 1024), 'gpt-4o')).toBeGreaterThanOrEqual(765)
    expect(tokens(png(2048, 4096), 'gpt-4o')).toBeGreaterThanOrEqual(1105)
    expect(tokens(png(1024, 1024), 'gpt-4o-mini')).toBe(2833 + 4 * 5667)
    expect(tokens(png(1800, 2400), 'gpt-4.1-mini')).toBeGreaterThanOrEqual(Math.ceil(1536 * 1.62))
    expect(tokens(png(1536, 1536), 'google/gemini-x')).toBeGreaterThanOrEqual(258 * 4)
    const claude = imageTokensMax(png(1000, 1000).toString('base64'), imageRuleOf('anthropic', 'x'))
    expect(claude).toBe(36 * 36)
  })

  it('is the rule’s maximum where the size is unknown, and never above it', () => {
    for (const model of ['gpt-4o', 'gpt-4o-mini', 'qwen/vl']) {
      const most = imageTokensMax(null, imageRuleOf('openai', model))
      expect(tokens(Buffer.from('what is this'), model)).toBe(most)
      for (const size of [png(1, 1), png(9000, 9000), png(60_000, 1), png(1, 60_000)]) {
        expect(tokens(size, model)).toBeLessThanOrEqual(most)
      }
    }
  })

  it('takes the place of the payload in a request’s bound', () => {
    const base64 = Buffer.concat([png(100, 100), Buffer.alloc(3_000_000)]).toString('base64')
    const chat = JSON.stringify({
      model: 'gpt-4o',
      messages: [
        {
          role: 'user',
          content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } }],
        },
      ],
    })
    const source = { type: 'base64', media_type: 'image/png', data: base64 }
    const messages = JSON.stringify({
      model: 'claude-x',
      max_tokens: 5,
      messages: [{ role: 'user', content: [{ type: 'image', source }] }],
    })
    for (const [protocol, text] of [
      [openaiChat, chat],
      [anthropicMessages, messages],
    ] as const) {
      const view = protocol.readBytes(Buffer.from(text))
      if (!view.ok) throw new Error(view.message)
      expect(view.unbounded).toEqual([])
      expect(view.inputTokensMax).toBeLessThan(2_500)
      expect(view.inputTokensMax).toBeGreaterThan(text.length - base64.length)
    }
  })

  it('does not take text that looks like an image for one', () => {
    const content = `data:image/png;base64,${'A'.repeat(10_000)}`
    const text = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content }] })
    const view = openaiChat.readBytes(Buffer.from(text))
    expect(view.ok && view.inputTokensMax).toBe(text.length)
  })
})

describe('the bound of audio', () => {
  it('follows from the length of plain PCM', () => {
    const head = Buffer.alloc(44)
    head.write('RIFF\0\0\0\0WAVEfmt ', 'latin1')
    head.writeUInt32LE(16, 16)
    head.writeUInt16LE(1, 20)
    head.writeUInt16LE(1, 22)
    head.writeUInt32LE(24_000, 24)
    head.writeUInt16LE(16, 34)
    const tenSeconds = Buffer.concat([head, Buffer.alloc(480_000)]).toString('base64')
    expect(audioTokensMax(tenSeconds)).toBe(11 * 32)
  })

  it('assumes the slowest codec for anything else', () => {
    expect(audioTokensMax(Buffer.alloc(5_000).toString('base64'))).toBe(11 * 32)
    const data = Buffer.alloc(300_000).toString('base64')
    const body = {
      model: 'gpt-4o-audio-preview',
      messages: [
        { role: 'user', content: [{ type: 'input_audio', input_audio: { data, format: 'mp3' } }] },
      ],
    }
    const view = openaiChat.readBytes(Buffer.from(JSON.stringify(body)))
    if (!view.ok) throw new Error(view.message)
    expect(view.inputTokensBeyondText).toBeGreaterThanOrEqual(600 * 32)
    expect(view.absentBuckets).not.toContain('input_audio_tokens')
  })
})
