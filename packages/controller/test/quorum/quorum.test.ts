import { crc32 } from 'node:zlib'
import { Hello } from '@millrace/rpc'
import { afterEach, describe, expect, it } from 'vitest'
import { Cluster, nodeName, type ClusterOptions, type TestMember } from './cluster.ts'

const clusters: Cluster[] = []

function cluster(options: ClusterOptions): Cluster {
  const made = new Cluster(options)
  clusters.push(made)
  return made
}

afterEach(async () => {
  for (const made of clusters.splice(0)) await made.stop()
})

function voterIds(member: TestMember): readonly number[] {
  return member.quorum.status.voters.map(({ id }) => id).toSorted((a, b) => a - b)
}

function content(of: Cluster, id: number, path: string): Uint8Array {
  const file = of.machine(id).disk.openNow(path, 'read')
  const bytes = new Uint8Array(file.size)
  file.readNow(0, bytes)
  return bytes
}

/** Changes one byte in the middle of a file. */
function flip(of: Cluster, id: number, path: string): void {
  const bytes = content(of, id, path)
  const middle = bytes.length >> 1
  bytes[middle] = (bytes[middle] as number) ^ 1
  const file = of.machine(id).disk.openNow(path, 'create')
  file.appendNow([bytes])
}

function futureSnapshot(): Uint8Array {
  const file = new Uint8Array(40)
  file.set(new TextEncoder().encode('mrsnap'))
  file[7] = 2
  new DataView(file.buffer).setUint32(8, crc32(file.subarray(0, 8)))
  return file
}

function strangerHello(): Uint8Array {
  return Hello.encode({
    purpose: 'raft',
    clusterId: '',
    nodeId: 2,
    incarnationId: 'AAAAAAAAAAAAAAAAAAAAAg',
    brokerEpoch: -1,
    version: 1,
    blank: true,
    voters: [],
    leaderId: null,
    term: 0,
  })
}

describe('a quorum of three', () => {
  it('elects one leader, and every member applies what it commits in the same order', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    const leader = await three.leads()
    for (let at = 0; at < 50; at++) expect(leader.propose(`x${at}`)).not.toBeNull()
    await three.commit('the last')
    const expected = [...Array.from({ length: 50 }, (_, at) => `x${at}`), 'the last']
    for (const member of three.members.values()) expect(member.applied).toEqual(expected)
    expect(new Set([...three.members.values()].map((member) => member.quorum.clusterId)).size).toBe(1)
  })

  it('refuses proposals where nobody leads', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    const leader = await three.leads()
    const follower = [...three.members.values()].find((member) => member !== leader) as TestMember
    expect(follower.propose('no')).toBeNull()
    await three.until(() => follower.leadership.kind === 'other' && follower.leadership.leader === leader.id, 'a hint')
  })

  it('replaces a leader that is killed, and keeps what was committed', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    const first = await three.leads()
    await three.commit('before')
    const began = performance.now()
    three.kill(first.id)
    const second = await three.leads()
    const tookMs = performance.now() - began
    process.stdout.write(`quorum: a killed leader was replaced after ${tookMs.toFixed(0)} ms\n`)
    expect(second.id).not.toBe(first.id)
    await three.commit('after')
    for (const member of three.members.values()) expect(member.applied).toEqual(['before', 'after'])
    three.start(first.id)
    await three.until(() => three.member(first.id).applied.length === 2, 'the old leader to catch up')
    expect(three.member(first.id).applied).toEqual(['before', 'after'])
  })

  it('restarts with its data, and hands every entry out once per incarnation', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    await three.leads()
    for (let at = 0; at < 20; at++) await three.commit(`x${at}`)
    const id = three.member(1).quorum.clusterId
    for (const node of three.ids) three.kill(node)
    three.start()
    await three.commit('again')
    for (const member of three.members.values()) {
      expect(member.applied).toEqual([...Array.from({ length: 20 }, (_, at) => `x${at}`), 'again'])
      expect(member.quorum.clusterId).toBe(id)
    }
  })

  it('says that it leads only after everything before was applied', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    await three.leads()
    for (let at = 0; at < 10; at++) await three.commit(`x${at}`)
    for (const node of three.ids) three.kill(node)
    const applied: number[] = []
    three.start()
    for (const member of three.members.values()) {
      const push = member.told.push.bind(member.told)
      member.told.push = (state): number => {
        if (state.kind === 'leader') applied.push(member.applied.length)
        return push(state)
      }
    }
    await three.leads()
    expect(applied.every((count) => count === 10)).toBe(true)
    expect(applied.length).toBeGreaterThan(0)
  })

  it('gives leadership away before it stops', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    const first = await three.leads()
    await three.commit('x')
    const { term } = first.quorum.status
    await first.stop()
    three.members.delete(first.id)
    const second = await three.leads()
    expect(second.leadership.term).toBe(term + 1)
    expect(first.told.at(-1)).toEqual({ kind: 'other', term: term + 1, leader: second.id })
  })

  it('a leader that is cut off steps down, and its unanswered proposals are gone after the cut', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    const first = await three.leads()
    await three.commit('before')
    const others = three.ids.filter((id) => id !== first.id)
    for (const id of others) three.network.cut(nodeName(first.id), nodeName(id), 'silent')
    expect(first.propose('lost')).not.toBeNull()
    await three.until(() => first.leadership.kind === 'other', 'the cut off leader to notice')
    await three.until(() => others.some((id) => three.member(id).leadership.kind === 'leader'), 'another leader')
    for (const id of others) three.network.heal(nodeName(first.id), nodeName(id))
    await three.commit('after')
    for (const member of three.members.values()) expect(member.applied).toEqual(['before', 'after'])
  })
})

describe('a formation', () => {
  it('of one voter happens at once', async () => {
    const one = cluster({ nodes: 1 })
    const began = performance.now()
    one.start()
    await one.commit('x')
    expect(one.member(1).quorum.clusterId).toBe(one.machine(1).clusterId)
    process.stdout.write(`quorum: a single voter committed after ${(performance.now() - began).toFixed(0)} ms\n`)
    one.kill(1)
    one.start()
    await one.commit('y')
    expect(one.member(1).applied).toEqual(['x', 'y'])
  })

  it('waits while a configured voter is missing', async () => {
    const three = cluster({ nodes: 3 })
    three.start(1, 2)
    await three.pause(800)
    expect(three.leader).toBeNull()
    expect(three.member(1).quorum.clusterId).toBeNull()
    three.start(3)
    await three.commit('x')
    expect(voterIds(await three.leads())).toEqual([1, 2, 3])
  })

  it('survives a crash of everybody in its middle, at any point', async () => {
    for (let delayMs = 0; delayMs < 24; delayMs += 3) {
      const three = cluster({ nodes: 3 })
      three.start()
      await three.pause(delayMs)
      for (const id of three.ids) three.kill(id)
      three.start()
      await three.commit('x')
      expect(new Set(three.ids.map((id) => three.machine(id).clusterId)).size).toBe(1)
      await three.stop()
    }
  })

  it('goes on without its author, whose disk is lost before anybody heard more than the beginning', async () => {
    const three = cluster({ nodes: 3 })
    three.onFormed = (): void => {
      if (three.members.has(1) && three.machine(2).clusterId !== null && three.machine(3).clusterId !== null)
        three.kill(1)
    }
    three.start()
    await three.until(() => !three.members.has(1), 'the beginning')
    const clusterId = three.machine(2).clusterId
    three.wipe(1)
    three.start(1)
    three.onFormed = (): void => {}
    await three.commit('x')
    expect(three.machine(1).clusterId).toBe(clusterId)
  })

  it('includes a founding member that was never there since, once it comes', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    // Nodes 1 and 2 have begun; node 3 dies before its first write could be done.
    await three.until(() => three.machine(1).clusterId !== null, 'the beginning')
    three.kill(3)
    await three.commit('x')
    three.start(3)
    await three.commit('y')
    const leader = await three.leads()
    expect(leader.quorum.status.voters.find(({ id }) => id === 3)?.directoryId).toBe(three.machine(3).directoryId)
  })
})

describe('a voter that is configured later', () => {
  it('joins as a learner and is added, one after the other', async () => {
    let grown = false
    const three = cluster({ nodes: 3, configured: () => (grown ? [1, 2, 3] : [1]) })
    three.start(1)
    await three.commit('alone')
    three.kill(1)
    grown = true
    three.start()
    await three.until(() => three.leader?.quorum.status.voters.length === 3, 'three voters')
    await three.commit('together')
    for (const member of three.members.values()) expect(member.applied).toEqual(['alone', 'together'])
    three.kill(1)
    await three.commit('without the first')
  })
})

describe('a voter that lost its disk', () => {
  it('comes back as a learner and is swapped in', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    await three.leads()
    await three.commit('before')
    const victim = three.ids.find((id) => id !== three.leader?.id) as number
    const former = three.machine(victim).directoryId
    three.kill(victim)
    three.wipe(victim)
    three.start(victim)
    const fresh = three.machine(victim).directoryId
    const swapped = (): boolean =>
      three.leader?.quorum.status.voters.some((voter) => voter.directoryId === fresh) ?? false
    await three.until(swapped, 'the swap')
    const status = (await three.leads()).quorum.status
    expect(status.voters.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual([1, 2, 3])
    expect(status.voters.some((voter) => voter.directoryId === former)).toBe(false)
    expect(status.learners).toEqual([])
    await three.commit('after')
    // It counts: with another voter down the group still commits.
    const other = three.ids.find((id) => id !== victim && id !== three.leader?.id) as number
    three.kill(other)
    await three.commit('with the newcomer')
    expect(three.member(victim).applied).toEqual(['before', 'after', 'with the newcomer'])
  })

  it('is replaced even if it led', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    const leader = await three.leads()
    await three.commit('before')
    three.kill(leader.id)
    three.wipe(leader.id)
    three.start(leader.id)
    await three.commit('after')
    const fresh = three.machine(leader.id).directoryId
    await three.until(
      () => three.leader?.quorum.status.voters.some((voter) => voter.directoryId === fresh) ?? false,
      'the swap',
    )
    expect(three.member(leader.id).applied).toEqual(['before', 'after'])
  })

  it('gets another identity when only its log is damaged', async () => {
    const three = cluster({ nodes: 3 })
    three.start()
    await three.leads()
    await three.commit('before')
    const victim = three.ids.find((id) => id !== three.leader?.id) as number
    three.kill(victim)
    three.machine(victim).stores.damage('/meta/quorum/raft', 'a block is flipped')
    three.start(victim)
    await three.commit('after')
    const old = three.machine(victim).directoryId
    const renewed = (): boolean => {
      const voters = three.leader?.quorum.status.voters ?? []
      return voters.length === 3 && voters.every(({ directoryId }) => directoryId !== old)
    }
    await three.until(renewed, 'the new identity')
    expect(three.member(victim).applied).toEqual(['before', 'after'])
    // The new identity is kept.
    const identity = three.leader?.quorum.status.voters.find(({ id }) => id === victim)?.directoryId
    three.kill(victim)
    three.start(victim)
    await three.commit('kept')
    expect((await three.leads()).quorum.status.voters.find(({ id }) => id === victim)?.directoryId).toBe(identity)
  })

  it('refuses to start when it was the only one', async () => {
    const one = cluster({ nodes: 1 })
    one.start()
    await one.commit('x')
    one.kill(1)
    one.machine(1).stores.damage('/meta/quorum/raft', 'a block is flipped')
    one.start()
    await one.until(() => one.member(1).fatal !== null, 'the refusal')
    expect(String(one.member(1).fatal?.cause)).toContain('the only voter lost the metadata log')
  })
})

describe('snapshots', () => {
  const fill = async (three: Cluster, from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at++) await three.commit(`${at} ${'x'.repeat(200)}`)
  }
  const snapshots = async (three: Cluster, id: number): Promise<readonly string[]> =>
    new Promise((resolve) => {
      three
        .machine(id)
        .disk.list('/meta/quorum', (_error, entries) =>
          resolve(entries.map(({ name }) => name).filter((name) => name.startsWith('snapshot'))),
        )
    })

  it('are taken as the log grows, two are kept, and a restart begins with the newest', async () => {
    const three = cluster({ nodes: 3, snapshotMaxBytes: 2000 })
    three.start()
    await three.leads()
    await fill(three, 0, 60)
    expect((await snapshots(three, 1)).length).toBe(2)
    three.kill(1)
    three.start(1)
    await three.commit('after')
    expect(three.member(1).restores).toBe(1)
    expect(three.member(1).applied.length).toBe(61)
  })

  it('bring a member up that was away while the log was trimmed', async () => {
    const three = cluster({ nodes: 3, snapshotMaxBytes: 2000 })
    three.start()
    await three.leads()
    const away = three.ids.find((id) => id !== three.leader?.id) as number
    three.kill(away)
    await fill(three, 0, 60)
    three.start(away)
    await three.commit('after')
    expect(three.member(away).restores).toBe(1)
    expect(three.member(away).applied.length).toBe(61)
  })

  it('bring a wiped member up', async () => {
    const three = cluster({ nodes: 3, snapshotMaxBytes: 2000 })
    three.start()
    await three.leads()
    await fill(three, 0, 60)
    const victim = three.ids.find((id) => id !== three.leader?.id) as number
    three.kill(victim)
    three.wipe(victim)
    three.start(victim)
    await three.commit('after')
    const fresh = three.machine(victim).directoryId
    await three.until(
      () => three.leader?.quorum.status.voters.some((voter) => voter.directoryId === fresh) ?? false,
      'the swap',
    )
    expect(three.member(victim).applied.length).toBe(61)
  })

  it('count when a crash came between the fetch and the restart of the log', async () => {
    const three = cluster({ nodes: 3, snapshotMaxBytes: 2000 })
    three.start()
    await three.leads()
    const away = three.ids.find((id) => id !== three.leader?.id) as number
    const other = three.ids.find((id) => id !== three.leader?.id && id !== away) as number
    await fill(three, 0, 3)
    three.kill(away)
    await fill(three, 3, 60)
    const newest = (await snapshots(three, other)).at(-1) as string
    const file = three.machine(away).disk.openNow(`/meta/quorum/${newest}`, 'create')
    file.appendNow([content(three, other, `/meta/quorum/${newest}`)])
    three.start(away)
    await three.commit('after')
    expect(three.member(away).restores).toBe(1)
    expect(three.member(away).applied.length).toBe(61)
  })

  it('that are flipped are put aside for the one before and the log', async () => {
    const three = cluster({ nodes: 3, snapshotMaxBytes: 2000 })
    three.start()
    await three.leads()
    await fill(three, 0, 60)
    three.kill(1)
    const newest = (await snapshots(three, 1)).at(-1) as string
    flip(three, 1, `/meta/quorum/${newest}`)
    three.start(1)
    await three.commit('after')
    expect(three.member(1).restores).toBe(1)
    expect(three.member(1).applied.length).toBe(61)
    expect(await snapshots(three, 1)).toContain(`${newest}.damaged`)
  })

  it('that are all flipped are fetched again, under a new identity', async () => {
    const three = cluster({ nodes: 3, snapshotMaxBytes: 2000 })
    three.start()
    await three.leads()
    await fill(three, 0, 60)
    const victim = three.ids.find((id) => id !== three.leader?.id) as number
    three.kill(victim)
    for (const name of await snapshots(three, victim)) flip(three, victim, `/meta/quorum/${name}`)
    three.start(victim)
    await three.commit('after')
    expect(three.member(victim).applied.length).toBe(61)
  })

  it('of a future version stop the start with a reason', async () => {
    const three = cluster({ nodes: 3, snapshotMaxBytes: 2000 })
    three.start()
    await three.leads()
    await fill(three, 0, 30)
    three.kill(2)
    const newest = (await snapshots(three, 2)).at(-1) as string
    const file = three.machine(2).disk.openNow(`/meta/quorum/${newest}`, 'append')
    file.truncateNow(0)
    file.appendNow([futureSnapshot()])
    three.start(2)
    await three.until(() => three.member(2).fatal !== null, 'the refusal')
    expect(String(three.member(2).fatal?.cause)).toContain('format version 2, which this release cannot read')
  })
})

describe('a stranger', () => {
  it('of another cluster is refused with a clear line', async () => {
    const one = cluster({ nodes: 2, configured: (id) => [id] })
    one.start()
    await one.until(() => one.machine(1).clusterId !== null && one.machine(2).clusterId !== null, 'two clusters')
    one.kill(1)
    one.kill(2)
    const both = cluster({ nodes: 2 })
    for (const id of [1, 2]) Object.assign(both.machine(id), one.machine(id), { disk: one.machine(id).disk })
    both.start()
    const told = (): boolean =>
      both.log.lines.some(({ fields }) => String(fields['reason']).includes('belongs to cluster'))
    await both.until(told, 'the refusal')
    // Each goes on as the cluster that it is.
    await both.until(() => [1, 2].every((id) => both.member(id).leadership.kind === 'leader'), 'both leaders')
    expect(both.member(1).quorum.clusterId).not.toBe(both.member(2).quorum.clusterId)
  })

  it('that is not configured is refused', async () => {
    const three = cluster({ nodes: 2, configured: (id) => (id === 1 ? [1] : [1, 2]) })
    three.start()
    const told = (): boolean =>
      three.log.lines.some(({ event }) => event.includes('controller.quorum.voters does not name'))
    await three.leads()
    three.network.peers('stranger').open({ host: 'test', port: 9001 }, 'control', strangerHello(), {
      opened: () => {},
      frame: () => {},
      drained: () => {},
      closed: () => {},
    })
    await three.until(told, 'the refusal')
    expect(voterIds(three.member(1))).toEqual([1])
  })
})
