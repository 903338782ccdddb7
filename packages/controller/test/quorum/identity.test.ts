import { memoryWorld } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { type IdentityAnswer, readIdentity, writeIdentity } from '../../src/quorum/identity.ts'

const SELF = 'AAAAAAAAAAAAAAAAAAAAAQ'
const CLUSTER = 'BBBBBBBBBBBBBBBBBBBBBQ'
const identity = {
  directoryId: SELF,
  clusterId: CLUSTER,
  formation: { clusterId: CLUSTER, voters: [{ id: 1, directoryId: SELF }] },
  store: 'raft',
}

describe('the file that tells who a member is', () => {
  it('is read as it was written, and no flipped bit makes somebody else of its node', async () => {
    const { disk } = memoryWorld({ name: 'member' })
    const read = (): Promise<IdentityAnswer> =>
      new Promise((resolve) => readIdentity(disk, '/meta', (_error, answer) => resolve(answer)))
    await new Promise<void>((resolve) => disk.mkdir('/meta', () => resolve()))
    await new Promise<void>((resolve) => writeIdentity(disk, '/meta', identity, () => resolve()))
    expect(await read()).toEqual({ kind: 'read', identity })
    const file = disk.openNow('/meta/quorum-identity.json', 'read')
    const whole = new Uint8Array(file.size)
    file.readNow(0, whole)
    const others: IdentityAnswer[] = []
    for (let at = 0; at < whole.length * 8; at++) {
      const flipped = whole.slice()
      flipped[at >> 3] = (flipped[at >> 3] as number) ^ (1 << (at & 7))
      disk.openNow('/meta/quorum-identity.json', 'create').appendNow([flipped])
      const answer = await read()
      if (answer.kind === 'read' && JSON.stringify(answer.identity) !== JSON.stringify(identity)) others.push(answer)
    }
    expect(others).toEqual([])
  })
})
