import { IoError } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { ioError } from '../src/io-error.ts'

function codeOf(cause: unknown): string {
  return ioError('/data/file', cause).code
}

describe("a failure of the operating system's", () => {
  it.each(['EIO', 'EBADMSG', 'Unknown system error -117'])("that is called %s is the device's", (code) => {
    expect(codeOf(Object.assign(new Error('read failed'), { code }))).toBe('EIO')
  })

  it('for want of memory or handles says so', () => {
    expect(codeOf({ code: 'ENOMEM' })).toBe('ENOMEM')
    expect(codeOf({ code: 'ENFILE' })).toBe('EMFILE')
  })

  it.each([{ code: 'EINVAL' }, { code: 'ERR_OUT_OF_RANGE' }, new Error('no code'), 'text', null])(
    "that nobody knows (%j) is not called the device's, which would make rot of it",
    (cause) => {
      expect(codeOf(cause)).toBe('EOTHER')
    },
  )

  it('that is told already stays as it is', () => {
    const told = new IoError('EROFS', '/data', 'told')
    expect(ioError('/other', told)).toBe(told)
  })
})
