// How long an assignment takes: 10,000 partitions and 100 members, from nothing, when ten more join, and when subscriptions differ.
import type { Assignment, AssignorMember } from '../src/assignors/assignment.ts'
import { range } from '../src/assignors/range.ts'
import { uniform } from '../src/assignors/uniform.ts'

const TOPICS = 100
const counts = new Map(Array.from({ length: TOPICS }, (_, at) => [`topic-${at}`, 100]))
const all = new Set(counts.keys())
const some = (at: number): Set<string> => new Set([...all].filter((_, topic) => (topic + at) % 3 !== 0))

function members(count: number, topics: (at: number) => Set<string>): AssignorMember[] {
  return Array.from({ length: count }, (_, at) => ({
    memberId: `member-${at}`,
    instanceId: null,
    topics: topics(at),
    previous: new Map(),
  }))
}

function timed(what: string, run: () => Map<string, Assignment>): Map<string, Assignment> {
  run()
  const startedMs = performance.now()
  const result = run()
  console.log(`${what}: ${(performance.now() - startedMs).toFixed(1)} ms`)
  return result
}

for (const [name, topics] of [
  ['equal subscriptions', () => all],
  ['subscriptions that differ', some],
] as const) {
  const hundred = members(100, topics)
  const given = timed(`uniform, ${name}, from nothing`, () => uniform(hundred, counts))
  const more = members(110, topics).map((one) => ({ ...one, previous: given.get(one.memberId) ?? new Map() }))
  timed(`uniform, ${name}, ten join`, () => uniform(more, counts))
  timed(`range, ${name}`, () => range(hundred, counts))
}
