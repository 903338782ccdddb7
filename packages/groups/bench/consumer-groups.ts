// What groups of the newer protocol cost: heartbeats of 1,000 groups with 10 members, and 1,000 members joining one group of 10,000 partitions.
import { ZERO_UUID } from '@millrace/base'
import type { Random } from '@millrace/base'
import { createGroupShard } from '../src/index.ts'
import type {
  ConsumerHeartbeat,
  ConsumerHeartbeatResponse,
  GroupShard,
  GroupsConfig,
  TopicsView,
} from '../src/index.ts'

const TOPICS = 100
const facts = Array.from({ length: TOPICS }, (_, at) => ({
  id: `t${String(at).padStart(4, '0')}${ZERO_UUID.slice(5)}`,
  name: `topic-${at}`,
  partitions: 100,
  racksOf: () => [],
}))
const byName = new Map(facts.map((topic) => [topic.name, topic]))
const topics: TopicsView = {
  version: 1,
  byName: (name) => byName.get(name) ?? null,
  byId: (id) => facts.find((topic) => topic.id === id) ?? null,
  names: () => byName.keys(),
}
const random: Random = { uint32: () => 4, below: () => 0, fill: (into) => into.fill(7), fork: () => random }
const config: GroupsConfig = {
  minSessionTimeoutMs: 6000,
  maxSessionTimeoutMs: 1_800_000,
  initialRebalanceDelayMs: 3000,
  maxSize: 2_147_483_647,
  maxMetadataBytes: 4096,
  offsetsRetentionMs: 604_800_000,
  offsetsCheckMs: 600_000,
  consumer: {
    sessionTimeoutMs: 45_000,
    heartbeatIntervalMs: 5000,
    assignmentIntervalMs: 1000,
    maxSize: 2_147_483_647,
    assignors: ['uniform', 'range'],
    migrationPolicy: 'bidirectional',
  },
}

let written = 0
let longestMs = 0

function beat(shard: GroupShard, nowMs: number, said: Partial<ConsumerHeartbeat>): ConsumerHeartbeatResponse {
  const request: ConsumerHeartbeat = {
    kind: 'consumerHeartbeat',
    groupId: 'g',
    memberId: 'm',
    memberEpoch: 0,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: -1,
    topicNames: null,
    topicRegex: null,
    serverAssignor: null,
    owned: null,
    clientId: 'bench',
    clientHost: '/127.0.0.1',
    reply: () => undefined,
    ...said,
  }
  const startedMs = performance.now()
  const { answers, records } = shard.handle(request, nowMs)
  longestMs = Math.max(longestMs, performance.now() - startedMs)
  for (const { key, value } of records) written += key.length + (value?.length ?? 0)
  return answers[0]?.response as unknown as ConsumerHeartbeatResponse
}

function timed(what: string, run: () => number): void {
  written = 0
  longestMs = 0
  const startedMs = performance.now()
  const count = run()
  const tookMs = performance.now() - startedMs
  console.log(
    `${what}: ${count} heartbeats, ${((tookMs * 1000) / count).toFixed(1)} us each, longest ${longestMs.toFixed(1)} ms, ${(written / 1024).toFixed(0)} KiB of records`,
  )
}

function manyGroups(): void {
  const shard = createGroupShard(config, topics, random)
  const epochs = new Map<string, number>()
  let nowMs = 1_000_000
  const round = (): number => {
    for (let group = 0; group < 1000; group++) {
      for (let member = 0; member < 10; member++) {
        const key = `${group}-${member}`
        const epoch = epochs.get(key) ?? 0
        const first =
          epoch === 0
            ? { topicNames: [`topic-${group % TOPICS}`], rebalanceTimeoutMs: 60_000, owned: [] }
            : { owned: null }
        const response = beat(shard, nowMs, { groupId: `g${group}`, memberId: key, memberEpoch: epoch, ...first })
        const owned = response.assignment
        if (owned !== null)
          beat(shard, nowMs, { groupId: `g${group}`, memberId: key, memberEpoch: response.memberEpoch, owned })
        epochs.set(key, response.memberEpoch)
      }
    }
    nowMs += 2000
    shard.tick(nowMs)
    return 10_000
  }
  timed('1,000 groups of 10 members join', round)
  for (let rounds = 0; rounds < 6; rounds++) round()
  timed('1,000 groups of 10 members, steady', round)
}

function oneLargeGroup(): void {
  const shard = createGroupShard(config, topics, random)
  const names = facts.map(({ name }) => name)
  let nowMs = 1_000_000
  const epochs = Array.from({ length: 1000 }, () => 0)
  timed('1,000 members join one group of 10,000 partitions in 5 s', () => {
    for (let member = 0; member < 1000; member++) {
      nowMs += 5
      const response = beat(shard, nowMs, {
        memberId: `m${member}`,
        topicNames: names,
        rebalanceTimeoutMs: 60_000,
        owned: [],
      })
      epochs[member] = response.memberEpoch
      if (member % 100 === 0) shard.tick(nowMs)
    }
    return 1000
  })
  timed('one of them leaves, and the others hear of it', () => {
    nowMs += 2000
    beat(shard, nowMs, { memberId: 'm0', memberEpoch: -1 })
    for (let member = 1; member < 1000; member++)
      beat(shard, nowMs, { memberId: `m${member}`, memberEpoch: epochs[member] ?? 0 })
    return 1000
  })
}

manyGroups()
oneLargeGroup()
