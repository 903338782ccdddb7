import { describe, expect, it } from 'vitest'
import { FrameAssembler } from '../src/frame-assembler.ts'

function frame(text: string): Buffer {
  const body = Buffer.from(text)
  const head = Buffer.alloc(4)
  head.writeInt32BE(body.length)
  return Buffer.concat([head, body])
}

function assembled(chunks: readonly Buffer[], max = 1_000): string[] {
  const found: string[] = []
  const assembler = new FrameAssembler(max, (body) => found.push(Buffer.from(body).toString()))
  for (const chunk of chunks) assembler.push(chunk)
  return found
}

describe('the frame assembler', () => {
  it('finds the same frames however the bytes are cut', () => {
    const all = Buffer.concat([frame('first'), frame('second frame'), frame('third')])
    for (let size = 1; size <= all.length; size++) {
      const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
        all.subarray(at * size, (at + 1) * size),
      )
      expect(assembled(chunks)).toEqual(['first', 'second frame', 'third'])
    }
  })

  it('refuses a length that no answer has before it allocates', () => {
    for (const length of [-1, 0, 3, 1_001, 0x7fffffff]) {
      const head = Buffer.alloc(4)
      head.writeInt32BE(length)
      expect(() => assembled([head])).toThrow(/is not an answer/)
    }
  })
})
