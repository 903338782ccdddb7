import { MemoryLogger } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { PartitionLines } from '../src/partition-lines.ts'

describe('lines about partitions', () => {
  it('are told one by one while they are few, and counted when one cause befalls many', () => {
    const log = new MemoryLogger()
    let scheduled = 0
    const lines = new PartitionLines(log, () => scheduled++)
    for (let partition = 0; partition < 1000; partition++) lines.info({ partition }, 'leading partition')
    lines.warn({ partition: 1 }, 'other')
    lines.flush()
    expect(log.lines.length).toBe(12)
    expect(log.lines.at(-1)).toMatchObject({
      level: 'info',
      event: 'leading partition, and so for others',
      fields: { partitions: 990 },
    })
    expect(scheduled).toBe(2)
    lines.info({ partition: 5 }, 'leading partition')
    lines.flush()
    expect(log.lines.length).toBe(13)
  })
})
