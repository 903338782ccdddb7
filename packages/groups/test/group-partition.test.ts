import { expect, test } from 'vitest'
import { groupPartition } from '../src/index.ts'

// The hashes are what Java's String.hashCode says: 31 * h + unit, in 32 bits.
test.each([
  ['', 0],
  ['a', 97],
  ['hello', 99_162_322],
  ['polygenelubricants', 0],
  ['Aa', 2112],
  ['BB', 2112],
  ['\u{1F600}', 1_772_899],
])('the group %j is of the partition that its hash says', (groupId, hash) => {
  expect(groupPartition(groupId, 50)).toBe(hash % 50)
  expect(groupPartition(groupId, 1)).toBe(0)
})
