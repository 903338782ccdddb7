// What a coordinator's partition costs: heartbeats and commits of many groups, a large group that rebalances, and a log that is replayed.
import { createGroupShard } from '../src/index.ts'
import type { GroupLogRecord, GroupRequest, GroupShard, JoinGroupResponse, Outcome } from '../src/index.ts'
import { groupsConfig, Topics } from '../test/consumer/harness.ts'
import { seeded } from '../test/seeded.ts'

interface Member {
  readonly groupId: string
  joined: JoinGroupResponse | null
}

const config = { ...groupsConfig(), initialRebalanceDelayMs: 10, maxSize: 100_000 }
const topics = new Topics()
const log: GroupLogRecord[] = []
let nowMs = 1_000_000

function took(outcome: Outcome): void {
  log.push(...outcome.records)
  for (const { reply, response } of outcome.answers) (reply as (response: unknown) => void)(response)
}

function timed(what: string, count: number, work: () => void): void {
  const startedMs = performance.now()
  work()
  const ms = performance.now() - startedMs
  process.stdout.write(`${what}: ${count} in ${ms.toFixed(0)} ms, ${((ms * 1000) / count).toFixed(2)} µs each\n`)
}

function join(shard: GroupShard, member: Member): void {
  const { groupId, joined } = member
  const request: GroupRequest = {
    kind: 'joinGroup',
    groupId,
    memberId: joined?.memberId ?? '',
    groupInstanceId: null,
    sessionTimeoutMs: 45_000,
    rebalanceTimeoutMs: 300_000,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: new Uint8Array(100) }],
    reason: null,
    requireKnownMemberId: false,
    supportsSkippingAssignment: true,
    clientId: 'c',
    clientHost: '/10.0.0.1',
    reply: (response) => {
      member.joined = response
    },
  }
  took(shard.handle(request, nowMs))
}

function sync(shard: GroupShard, { groupId, joined }: Member): void {
  if (joined === null) return
  const { memberId, generation, members } = joined
  const assignments = members.map((one) => ({ memberId: one.memberId, assignment: new Uint8Array(100) }))
  const claim = { groupId, memberId, generation, groupInstanceId: null, protocolType: null, protocolName: null }
  took(shard.handle({ kind: 'syncGroup', ...claim, assignments, reply: () => {} }, nowMs))
}

function heartbeat(shard: GroupShard, { groupId, joined }: Member): void {
  if (joined === null) return
  const { memberId, generation } = joined
  took(
    shard.handle({ kind: 'heartbeat', groupId, memberId, generation, groupInstanceId: null, reply: () => {} }, nowMs),
  )
}

function commit(shard: GroupShard, { groupId, joined }: Member, partition: number): void {
  if (joined === null) return
  const { memberId, generation } = joined
  const topic = { name: 't', id: 'AAAAAAAAAAAAAAAAAAAAAA' }
  const partitions = [{ partition, offset: nowMs, leaderEpoch: 1, metadata: '' }]
  const claim = { groupId, memberId, generation, groupInstanceId: null, knowsMemberEpochs: true, retentionMs: -1 }
  took(shard.handle({ kind: 'offsetCommit', ...claim, topics: [{ ...topic, partitions }], reply: () => {} }, nowMs))
}

function wait(shard: GroupShard, ms: number): void {
  const untilMs = nowMs + ms
  while (shard.nextDueMs <= untilMs) {
    nowMs = Math.max(nowMs, shard.nextDueMs)
    took(shard.tick(nowMs))
  }
  nowMs = untilMs
}

const shard = createGroupShard(config, topics, seeded(1))
took(shard.loaded(nowMs))
const small = Array.from({ length: 10_000 }, (_, at): Member => ({ groupId: `g${at % 1000}`, joined: null }))
timed('members of 1,000 groups of ten join and are assigned', small.length, () => {
  for (const member of small) join(shard, member)
  wait(shard, 1000)
  for (const member of small) sync(shard, member)
})
timed('heartbeats of them', small.length * 10, () => {
  for (let round = 0; round < 10; round++) {
    wait(shard, 3000)
    for (const member of small) heartbeat(shard, member)
  }
})
timed('commits of them', small.length * 10, () => {
  for (let round = 0; round < 10; round++) for (const member of small) commit(shard, member, round)
})
const large = Array.from({ length: 2000 }, (): Member => ({ groupId: 'large', joined: null }))
timed('members of one group join it', large.length, () => {
  for (const member of large) join(shard, member)
  wait(shard, 1000)
})
timed('members of one group are assigned', large.length, () => {
  for (const member of large) sync(shard, member)
})
timed('members of one group join again', large.length, () => {
  for (const member of large) join(shard, member)
})
timed('records of them are replayed', log.length, () => {
  const replayed = createGroupShard(config, topics, seeded(2))
  for (const { key, value } of log) replayed.replay(key, value)
  took(replayed.loaded(nowMs))
})
