import { IoError } from '@millrace/base'
import { memoryWorld } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { type IdentityAnswer, readIdentity, writeIdentity } from '../../src/quorum/identity.ts'
import { MemberStore } from '../../src/quorum/member-store.ts'
import { SnapshotFiles } from '../../src/quorum/snapshot-files.ts'
import type { QuorumConfig } from '../../src/quorum/types.ts'

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

  it('counts only once its name is on disk: the process that wrote it may have been killed before', async () => {
    const world = memoryWorld({ name: 'member' })
    await new Promise<void>((resolve) => world.disk.mkdir('/meta', () => resolve()))
    await new Promise<void>((resolve) => writeIdentity(world.disk, '/meta', identity, () => resolve()))
    world.disk.syncDir = (path, done) =>
      queueMicrotask(() => done(path === '/meta' ? new IoError('EIO', path, 'the sync failed') : null))
    const config = { nodeId: 1, directory: '/meta', directoryId: SELF, clusterId: null, voters: [] }
    const files = new SnapshotFiles(world.disk, '/meta', world.log)
    const store = new MemberStore(world, config as unknown as QuorumConfig, files)
    const error = await new Promise<Error | null>((resolve) => store.open((failed) => resolve(failed)))
    expect(error?.message).toContain('the sync failed')
  })
})
