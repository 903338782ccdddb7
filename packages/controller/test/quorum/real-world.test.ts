import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUuid, type Listener, type Uuid, type World } from '@millrace/base'
import { productionWorld, untilReal } from '@millrace/host'
import { Hello } from '@millrace/rpc'
import { afterAll, describe, expect, it } from 'vitest'
import { createQuorum } from '../../src/quorum/quorum.ts'
import type { Leadership, Quorum } from '../../src/quorum/types.ts'

const folder = mkdtempSync(join(tmpdir(), 'quorum-'))
const encoder = new TextEncoder()
const decoder = new TextDecoder()

interface Running {
  readonly id: number
  readonly quorum: Quorum
  readonly applied: string[]
  leadership: Leadership
  stop(): Promise<void>
}

const directoryIds = new Map<number, Uuid>()
const clusterIds = new Map<number, Uuid>()

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
        }),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

async function listen(world: World, port: number, quorum: Quorum): Promise<Listener> {
  return new Promise((resolve, reject) => {
    world.peers.listen(
      { host: '127.0.0.1', port },
      (hello, lane, stream) => quorum.accept(Hello.decode(hello), lane, stream),
      (error, listener) => (error === null ? resolve(listener) : reject(error)),
    )
  })
}

async function start(id: number, ports: readonly number[]): Promise<Running> {
  const world = productionWorld({
    node: id,
    logger: { level: 'silent' },
    exit: (code) => {
      throw new Error(`node ${id} ended itself with ${code}`)
    },
  })
  const directoryId = directoryIds.get(id) ?? randomUuid(world.random)
  directoryIds.set(id, directoryId)
  const applied: string[] = []
  const config = {
    nodeId: id,
    directoryId,
    voters: ports.map((port, at) => ({ id: at + 1, address: { host: '127.0.0.1', port } })),
    directory: join(folder, `node-${id}`),
    clusterId: clusterIds.get(id) ?? null,
    electionTimeoutMs: 1000,
    heartbeatMs: 100,
    snapshotMaxBytes: 20_000,
  }
  const quorum = createQuorum(world, config, {
    clusterId: (clusterId) => void clusterIds.set(id, clusterId),
    committed: (_index, _term, payload) => void applied.push(decoder.decode(payload)),
    restore: (snapshot) => {
      applied.splice(0, applied.length, ...(JSON.parse(decoder.decode(snapshot)) as string[]))
    },
    takeSnapshot: () => encoder.encode(JSON.stringify(applied)),
    leadership: (state) => (running.leadership = state),
  })
  const listener = await listen(world, ports[id - 1] as number, quorum)
  const running: Running = {
    id,
    quorum,
    applied,
    leadership: { kind: 'other', term: -1, leader: null },
    stop: async () => {
      await new Promise((resolve) => quorum.stop(resolve))
      await new Promise((resolve) => listener.close(resolve))
    },
  }
  quorum.start()
  return running
}

describe('three members over gRPC and on LevelDB', () => {
  const members = new Map<number, Running>()
  let ports: readonly number[] = []
  const all = (): readonly Running[] => [...members.values()]
  const leader = (): Running | null => all().find(({ leadership }) => leadership.kind === 'leader') ?? null

  async function commit(text: string): Promise<void> {
    await untilReal(() => (leader()?.quorum.propose(encoder.encode(text)) ?? null) !== null, 'a taker')
    await untilReal(() => all().every(({ applied }) => applied.includes(text)), `${text} everywhere`)
  }

  afterAll(async () => {
    for (const member of all()) await member.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('form a cluster, commit, snapshot, hand over, restart and swap a wiped one in', { timeout: 60_000 }, async () => {
    ports = await freePorts(3)
    for (const id of [1, 2, 3]) members.set(id, await start(id, ports))
    await commit('first')

    const began = performance.now()
    const count = 2000
    for (let at = 0; at < count; at++) leader()?.quorum.propose(encoder.encode(`entry ${at} ${'x'.repeat(100)}`))
    await untilReal(() => all().every(({ applied }) => applied.length === count + 1), 'all of them')
    const tookMs = performance.now() - began
    for (let at = 0; at < 50; at++) await commit(`one at a time ${at}`)
    const oneMs = (performance.now() - began - tookMs) / 50
    process.stdout.write(
      `quorum over gRPC and LevelDB: ${count} entries at once in ${tookMs.toFixed(0)} ms, one at a time ${oneMs.toFixed(1)} ms each\n`,
    )
    expect(readdirSync(join(folder, 'node-1')).some((name) => name.endsWith('.mrsnap'))).toBe(true)

    const former = leader() as Running
    await former.stop()
    members.delete(former.id)
    await commit('handed over')
    members.set(former.id, await start(former.id, ports))
    await commit('restarted')

    const victim = all().find((member) => member !== leader()) as Running
    await victim.stop()
    members.delete(victim.id)
    rmSync(join(folder, `node-${victim.id}`), { recursive: true, force: true })
    directoryIds.delete(victim.id)
    clusterIds.delete(victim.id)
    members.set(victim.id, await start(victim.id, ports))
    await commit('wiped')
    const fresh = directoryIds.get(victim.id)
    await untilReal(
      () => leader()?.quorum.status.voters.some(({ directoryId }) => directoryId === fresh) ?? false,
      'the swap',
    )
    const expected = leader()?.applied
    for (const { applied } of all()) expect(applied).toEqual(expected)
    expect(new Set(clusterIds.values()).size).toBe(1)
  })
})
