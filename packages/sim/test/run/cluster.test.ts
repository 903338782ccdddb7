import { IoError, MillraceError } from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { createSchedule } from '../../src/kernel/schedule.ts'
import type { FaultAtlas, Network } from '../../src/seams.ts'
import { Cluster } from '../../src/run/cluster.ts'
import type { NodeEnd, SimNode } from '../../src/run/sim-node.ts'

const FOREIGN = new MillraceError('DIRECTORY_FOREIGN', 'the directory holds files of several clusters', { fix: '-' })
const UNREADABLE = new MillraceError('STORE_DAMAGED', 'its cluster is unknown', { fix: '-' })
const FAILED = new IoError('EIO', '/data', 'a read failed')

/** An operator with one node, and how often its disk was emptied. */
function oneNode(): { readonly end: (end: NodeEnd) => void; readonly wipes: () => number } {
  let wipes = 0
  const node = { id: 1, life: null, machine: { storage: { wipe: () => wipes++ } }, spawn: () => {} }
  const cluster = new Cluster([node as unknown as SimNode], {
    schedule: createSchedule(new SeededRandom('cluster')),
    network: {} as Network,
    atlas: { mayDamage: () => true } as unknown as FaultAtlas,
  })
  return { end: (end) => cluster.ended(node as unknown as SimNode, end), wipes: () => wipes }
}

describe('the operator', () => {
  it.each<[string, NodeEnd]>([
    ['refuse the start', { how: 'refused', cause: FAILED }],
    ['are of another cluster, as the quorum finds', { how: 'fatal', code: 'store-failed', cause: FOREIGN }],
    ['cannot be read any more', { how: 'fatal', code: 'store-failed', cause: UNREADABLE }],
  ])('empties a disk whose contents %s for the fourth time in a row', (_, end) => {
    const node = oneNode()
    for (let times = 0; times < 3; times++) node.end(end)
    expect(node.wipes()).toBe(0)
    node.end(end)
    expect(node.wipes()).toBe(1)
  })

  it('leaves a disk alone that fails now and then', () => {
    const node = oneNode()
    for (let times = 0; times < 10; times++) node.end({ how: 'fatal', code: 'store-failed', cause: FAILED })
    expect(node.wipes()).toBe(0)
  })

  it('begins to count anew when a start went well in between', () => {
    const node = oneNode()
    const refused: NodeEnd = { how: 'fatal', code: 'store-failed', cause: FOREIGN }
    for (let times = 0; times < 3; times++) node.end(refused)
    node.end({ how: 'killed' })
    for (let times = 0; times < 3; times++) node.end(refused)
    expect(node.wipes()).toBe(0)
  })
})
