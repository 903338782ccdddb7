import { describe, expect, it } from 'vitest'
import { printLine, Story } from '../../src/run/story.ts'
import type { Operation } from '../../src/seams.ts'

const send: Operation = {
  client: 'client-1',
  kind: 'send',
  invokedUs: 1_000_000,
  endedUs: 2_000_000,
  outcome: 'ok',
  topic: 'topic-1',
  partition: 0,
  values: [
    { value: 'a', offset: 7 },
    { value: 'b', offset: 8 },
  ],
  acks: -1,
}

describe('a story', () => {
  it('tells nodes, faults and clients in the order of time', () => {
    let now = 1_500_000
    const story = new Story(() => now)
    story.tell('node1', 'leads')
    now = 2_500_000
    story.tell('nemesis', 'kill of node1')
    expect(story.last(10, [send]).map(printLine)).toEqual([
      '   1.500000  node1     leads',
      '   2.000000  client-1  send topic-1-0 acks=all offsets 7 to 8: ok',
      '   2.500000  nemesis   kill of node1',
    ])
  })

  it('keeps the newest lines only', () => {
    const story = new Story(() => 0, 10)
    for (let at = 0; at < 100; at++) story.tell('node1', `line ${at}`)
    const lines = story.last(5, [])
    expect(lines.map(({ text }) => text)).toEqual(['line 95', 'line 96', 'line 97', 'line 98', 'line 99'])
  })

  it('leaves out what is still under way', () => {
    const story = new Story(() => 0)
    expect(story.last(5, [{ ...send, endedUs: Number.POSITIVE_INFINITY }])).toEqual([])
  })
})
