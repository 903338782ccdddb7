import { describe, expect, test } from 'vitest'
import { Consumer, GroupHarness, HEARTBEAT_MS } from './harness.ts'

/** A client that keeps to the interval that it is told, and says at once when it gave partitions up, which takes it a moment. */
interface Client {
  readonly consumer: Consumer
  dueMs: number
}

const REVOKING_MS = 100

function beat(client: Client, group: GroupHarness): void {
  const before = client.consumer.partitions
  const { heartbeatIntervalMs } = client.consumer.beat()
  const gaveUp = client.consumer.partitions < before
  client.dueMs = group.nowMs + (gaveUp ? REVOKING_MS : heartbeatIntervalMs)
}

function advance(clients: readonly Client[], group: GroupHarness): void {
  const next = Math.min(group.group.dueMs, ...clients.map(({ dueMs }) => dueMs))
  group.tick(Math.max(0, next - group.nowMs))
  for (const client of clients) if (client.dueMs <= group.nowMs) beat(client, group)
}

function settle(clients: readonly Client[], group: GroupHarness): void {
  for (let events = 0; group.group.state !== 'Stable' && events < 10_000; events++) advance(clients, group)
}

describe('ten members join ten others that share 900 partitions', () => {
  test('and all have their share half a second after the last of the ten heard of it', () => {
    const group = new GroupHarness({ assignmentIntervalMs: 1000 })
    for (let at = 0; at < 9; at++) group.topics.set(`t${at}`, 100)
    const topics = Array.from({ length: 9 }, (_, at) => `t${at}`)
    const clientOf = (at: number, dueMs: number): Client => ({
      consumer: new Consumer(group, `m${String(at).padStart(2, '0')}`, topics),
      dueMs,
    })
    const old = Array.from({ length: 10 }, (_, at) => clientOf(at, group.nowMs + at * 37))
    for (const client of old) {
      group.nowMs = client.dueMs
      beat(client, group)
    }
    settle(old, group)
    expect(old.map(({ consumer }) => consumer.partitions)).toEqual(Array.from({ length: 10 }, () => 90))
    // Their heartbeats are anywhere in the interval by now.
    old.forEach((client, at) => {
      client.dueMs = group.nowMs + 2000 + (HEARTBEAT_MS * at) / 10
    })
    group.tick(2000)
    const startedMs = group.nowMs
    const all = [...old, ...Array.from({ length: 10 }, (_, at) => clientOf(10 + at, startedMs + at * 50))]
    while (all.some(({ consumer }) => consumer.last === null)) advance(all, group)
    settle(all, group)
    expect(all.map(({ consumer }) => consumer.partitions)).toEqual(Array.from({ length: 20 }, () => 45))
    expect(group.nowMs - startedMs).toBeLessThanOrEqual(HEARTBEAT_MS + 600)
    const last = group.rebalances.at(-1)
    expect(last).toMatchObject({ members: 20, moved: 450 })
    expect(last?.causes).toHaveLength(10)
  })

  test('and a rebalance that is over lets everybody go back to the usual interval', () => {
    const group = new GroupHarness()
    group.topics.set('t', 4)
    const a = new Consumer(group, 'a', ['t'])
    const b = new Consumer(group, 'b', ['t'])
    expect(a.beat().heartbeatIntervalMs).toBe(HEARTBEAT_MS)
    for (const one of [b, a, a]) expect(one.beat().heartbeatIntervalMs).toBe(500)
    expect(b.beat().heartbeatIntervalMs).toBe(HEARTBEAT_MS)
    expect(a.beat().heartbeatIntervalMs).toBe(HEARTBEAT_MS)
  })
})
