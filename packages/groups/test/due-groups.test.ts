import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueGroups } from '../src/due-groups.ts'

const group = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')
const at = fc.integer({ min: 0, max: 100 })
const step = fc.oneof(
  fc.record({ kind: fc.constant('note' as const), group, at }),
  fc.record({ kind: fc.constant('forget' as const), group, at }),
  fc.record({ kind: fc.constant('take' as const), group, at }),
)

/** The same by looking at all groups each time; of those that are due at the same time any may come first. */
class Model {
  private readonly due = new Map<string, number>()

  get earliestMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.due.values())
  }

  note(groupId: string, dueMs: number): void {
    this.due.set(groupId, Math.min(dueMs, this.due.get(groupId) ?? Number.POSITIVE_INFINITY))
  }

  forget(groupId: string): void {
    this.due.delete(groupId)
  }

  mayBeTaken(groupId: string | null, nowMs: number): boolean {
    if (groupId === null) return this.earliestMs > nowMs
    const isEarliest = this.due.get(groupId) === this.earliestMs && this.earliestMs <= nowMs
    this.due.delete(groupId)
    return isEarliest
  }
}

test('groups come out when they are due, the earliest first, each once, by the earliest time that was noted since', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const due = new DueGroups()
      const model = new Model()
      for (const one of steps) {
        let isRight = true
        if (one.kind === 'take') isRight = model.mayBeTaken(due.take(one.at), one.at)
        else if (one.kind === 'forget') [due, model].forEach((each) => each.forget(one.group))
        else [due, model].forEach((each) => each.note(one.group, one.at))
        expect([isRight, due.earliestMs]).toEqual([true, model.earliestMs])
      }
    }),
    { numRuns: 200 },
  )
})
