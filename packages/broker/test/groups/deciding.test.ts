import { ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { answerOf, GroupFixture, logRecord, written } from './fixture.ts'

const OK = { error: ErrorCode.NONE }
const inLoad = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
const notThere = ErrorCode.COORDINATOR_NOT_AVAILABLE
const elsewhere = ErrorCode.NOT_COORDINATOR

/** A coordinator whose partition has a follower, which is the test. */
function replicated(): GroupFixture {
  const fixture = new GroupFixture().lead()
  fixture.replica.alone = false
  return fixture
}

describe('an answer', () => {
  test('waits until the records that were decided with it are committed', () => {
    const fixture = replicated()
    const commit = fixture.commit('g', 5)
    fixture.world.time.advance(1000)
    expect(written(fixture.replica)).toEqual(['g=5'])
    expect(commit.outcome).toBe(null)
    fixture.replica.replicate()
    expect(commit.outcome).toMatchObject({ topics: [{ name: 't' }] })
  })

  test('without records of its own waits for those of its group that were decided before, and not for others', () => {
    const fixture = replicated()
    fixture.commit('g', 5)
    const own = fixture.heartbeat('g')
    const other = fixture.heartbeat('h')
    expect(own.outcome).toBe(null)
    expect(other.outcome).toEqual(OK)
    fixture.world.time.turn()
    fixture.replica.replicate()
    expect(own.outcome).toEqual(OK)
    expect(fixture.heartbeat('g').outcome).toEqual(OK)
  })

  test('waits for the last append of its group, though an earlier one is committed', () => {
    const fixture = replicated()
    fixture.commit('g', 5)
    fixture.world.time.turn()
    const second = fixture.commit('g', 6)
    const after = fixture.heartbeat('g')
    fixture.replica.replicate()
    expect(second.outcome).toBe(null)
    expect(after.outcome).toBe(null)
    fixture.world.time.turn()
    fixture.replica.replicate()
    expect(second.outcome).not.toBe(null)
    expect(after.outcome).toEqual(OK)
  })

  test('of any group waits for records that a tick decided, which may be of all groups', () => {
    const fixture = replicated()
    fixture.shard.due = { records: [logRecord('any', '1')] }
    fixture.shard.nextDueMs = fixture.world.clock.wallMs() + 100
    fixture.heartbeat('h')
    fixture.world.time.advance(200)
    const asked = fixture.heartbeat('h')
    expect(asked.outcome).toBe(null)
    fixture.replica.replicate()
    expect(asked.outcome).toEqual(OK)
  })

  test('to a list of groups does not wait', () => {
    const fixture = replicated()
    fixture.commit('g', 5)
    expect(fixture.coordinator.list([], [])).toMatchObject([{ groupId: 'g' }])
  })

  test('comes in the order in which it was decided', () => {
    const fixture = replicated()
    const order: string[] = []
    for (const name of ['a', 'b', 'c'])
      fixture.coordinator.ask({
        groupId: 'g',
        request: (reply) => ({
          kind: 'heartbeat',
          groupId: 'g',
          memberId: name,
          groupInstanceId: null,
          generation: 1,
          reply,
        }),
        answered: () => order.push(name),
        failed: () => order.push('failed'),
      })
    expect(order).toEqual(['a', 'b', 'c'])
  })

  test('waits five seconds at most, and what was decided stays decided', () => {
    const fixture = replicated()
    const commit = fixture.commit('g', 5)
    fixture.world.time.advance(3000)
    const heartbeat = fixture.heartbeat('g')
    fixture.world.time.advance(2001)
    expect(commit.outcome).toBe(notThere)
    expect(heartbeat.outcome).toBe(null)
    fixture.world.time.advance(3000)
    expect(heartbeat.outcome).toBe(notThere)
    fixture.replica.replicate()
    expect(fixture.shards).toHaveLength(1)
    expect(fixture.shard.offsets.get('g')).toBe('5')
    expect(fixture.heartbeat('g').outcome).toEqual(OK)
    expect(commit.outcomes).toHaveLength(1)
    expect(fixture.world.time.pendingTimers).toBe(0)
  })

  test('is nobody any more when the question was dropped', () => {
    const fixture = replicated()
    const commit = fixture.commit('g', 5)
    commit.drop()
    const join = fixture.join('g')
    join.drop()
    fixture.world.time.turn()
    fixture.replica.replicate()
    fixture.coordinator.end()
    expect(commit.outcomes).toEqual([])
    expect(join.outcomes).toEqual([])
  })
})

describe('the records of one decision', () => {
  test('are one batch', () => {
    const fixture = new GroupFixture().lead()
    fixture.shard.more = { records: ['a', 'b', 'c'].map((name) => logRecord(name, '1')) }
    fixture.commit('g', 1)
    fixture.world.time.turn()
    expect(fixture.replica.batches).toHaveLength(1)
    expect(written(fixture.replica)).toEqual(['a=1', 'b=1', 'c=1'])
  })

  test('are several batches where one would be too large, and are answered when the last is committed', () => {
    const fixture = replicated()
    fixture.replica.maxMessageBytes = 1000
    fixture.shard.more = { records: Array.from({ length: 10 }, (_, at) => logRecord(`g${at}`, 'x'.repeat(300))) }
    const commit = fixture.commit('g', 1)
    fixture.world.time.turn()
    expect(fixture.replica.batches.length).toBeGreaterThan(3)
    expect(fixture.replica.batches.every(({ length }) => length <= 1000)).toBe(true)
    expect(written(fixture.replica)).toHaveLength(10)
    expect(commit.outcome).toBe(null)
    fixture.replica.replicate()
    expect(commit.outcome).not.toBe(null)
  })

  test('are written although one is larger than the topic likes: the group could not go on for ever', () => {
    const fixture = new GroupFixture().lead()
    fixture.replica.maxMessageBytes = 1000
    fixture.shard.more = { records: [logRecord('g', 'x'.repeat(5000))] }
    const commit = fixture.commit('g', 1)
    fixture.world.time.turn()
    expect(commit.outcome).toMatchObject({ topics: [{}] })
  })

  test('are refused when one is larger than any batch may be, and the groups go on from what was written', () => {
    const fixture = new GroupFixture().lead()
    fixture.commit('g', 1)
    fixture.world.time.turn()
    const other = fixture.join('h')
    fixture.shard.more = { records: [logRecord('g', 'x'.repeat(17 * 1024 * 1024))] }
    expect(fixture.commit('g', 2).outcome).toBe(ErrorCode.UNKNOWN_SERVER_ERROR)
    expect(other.outcome).toBe(notThere)
    expect(fixture.heartbeat('g').outcome).toBe(inLoad)
    fixture.world.time.advance(1000)
    expect(fixture.shard.replayed).toEqual(['g=1'])
    expect(fixture.heartbeat('g').outcome).toEqual(OK)
  })
})

describe('an append that fails', () => {
  test.each([
    [ErrorCode.NOT_ENOUGH_REPLICAS, notThere],
    [ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, notThere],
    [ErrorCode.REQUEST_TIMED_OUT, notThere],
    [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, notThere],
    [ErrorCode.NOT_LEADER_OR_FOLLOWER, elsewhere],
    [ErrorCode.KAFKA_STORAGE_ERROR, elsewhere],
    [ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR],
    [ErrorCode.RECORD_LIST_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR],
    [ErrorCode.INVALID_FETCH_SIZE, ErrorCode.UNKNOWN_SERVER_ERROR],
  ])('with %i is told as %i, and the shard is made anew from the log', (error, told) => {
    const fixture = new GroupFixture().lead()
    fixture.commit('g', 1)
    fixture.world.time.turn()
    fixture.replica.appendError = error
    const commit = fixture.commit('g', 2)
    const parked = fixture.join('g')
    fixture.world.time.turn()
    expect(commit.outcome).toBe(told)
    expect(parked.outcome).toBe(told)
    expect(fixture.heartbeat('g').outcome).toBe(inLoad)
    fixture.replica.appendError = ErrorCode.NONE
    fixture.world.time.advance(1000)
    expect(fixture.shards).toHaveLength(2)
    expect(fixture.shard.replayed).toEqual(['g=1'])
    expect(fixture.heartbeat('g').outcome).toEqual(OK)
  })

  test('has the log read only once nothing is on its way any more', () => {
    const fixture = replicated()
    const first = fixture.commit('g', 1)
    fixture.world.time.turn()
    fixture.replica.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    const second = fixture.commit('g', 2)
    fixture.world.time.turn()
    expect([first.outcome, second.outcome]).toEqual([notThere, notThere])
    fixture.replica.appendError = ErrorCode.NONE
    fixture.world.time.advance(5000)
    expect(fixture.shards).toHaveLength(1)
    expect(fixture.heartbeat('g').outcome).toBe(inLoad)
    fixture.replica.replicate()
    fixture.world.time.advance(1000)
    expect(fixture.shard.replayed).toEqual(['g=1'])
    expect(fixture.heartbeat('g').outcome).toEqual(OK)
    expect(first.outcomes).toHaveLength(1)
  })
})

describe('while the log takes no records', () => {
  test('nothing is asked of the shard that it would have to write, so it forgets nothing', () => {
    const fixture = new GroupFixture().lead()
    const parked = fixture.join('g')
    fixture.replica.refusal = ErrorCode.NOT_ENOUGH_REPLICAS
    expect(fixture.commit('g', 1).outcome).toBe(notThere)
    expect(fixture.join('h').outcome).toBe(notThere)
    expect(fixture.heartbeat('g').outcome).toEqual(OK)
    expect(parked.outcome).toBe(null)
    fixture.replica.refusal = ErrorCode.NONE
    expect(fixture.commit('g', 1).outcome).toBe(null)
    expect(fixture.shards).toHaveLength(1)
  })

  test('topics that are deleted are told to the shard when it may decide again', () => {
    const fixture = new GroupFixture().lead()
    fixture.replica.refusal = ErrorCode.NOT_ENOUGH_REPLICAS
    const { id } = fixture.image.addTopic('gone', [{}])
    fixture.changes((changes) => (changes.all = true))
    fixture.image.topics.delete(id)
    fixture.changes((changes) => changes.deletedTopics.set(id, 'gone'))
    fixture.world.time.advance(2000)
    expect(fixture.shard.deleted).toEqual([])
    fixture.replica.refusal = ErrorCode.NONE
    fixture.world.time.advance(500)
    expect(fixture.shard.deleted).toEqual(['gone'])
    expect(fixture.shards).toHaveLength(1)
  })

  test('a shard that was loaded answers, and begins to decide when it may', () => {
    const fixture = new GroupFixture()
    fixture.replica.refusal = ErrorCode.NOT_ENOUGH_REPLICAS
    fixture.lead()
    expect(fixture.heartbeat('g').outcome).toEqual(OK)
    expect(fixture.shard.loadedAtMs).toBe(-1)
    fixture.replica.refusal = ErrorCode.NONE
    fixture.world.time.advance(500)
    expect(fixture.shard.loadedAtMs).toBeGreaterThan(0)
    expect(fixture.shards).toHaveLength(1)
  })

  test('no session ends; what was due is done when the log takes records again', () => {
    const fixture = new GroupFixture().lead()
    fixture.shard.nextDueMs = fixture.world.clock.wallMs() + 1000
    fixture.heartbeat('g')
    fixture.replica.refusal = ErrorCode.NOT_ENOUGH_REPLICAS
    fixture.world.time.advance(5000)
    expect(fixture.shard.ticks).toEqual([])
    fixture.replica.refusal = ErrorCode.NONE
    fixture.world.time.advance(500)
    expect(fixture.shard.ticks).toHaveLength(1)
  })
})

describe('the end of a leadership', () => {
  test('in the middle of a commit is answered NOT_COORDINATOR, once', () => {
    const fixture = replicated()
    const commit = fixture.commit('g', 5)
    const heartbeat = fixture.heartbeat('g')
    const join = fixture.join('h')
    fixture.world.time.turn()
    fixture.replica.role = 'follower'
    fixture.partition({ leader: 2 })
    fixture.coordinator.replicaChanged(fixture.replica)
    expect([commit.outcome, heartbeat.outcome, join.outcome]).toEqual([elsewhere, elsewhere, elsewhere])
    fixture.replica.replicate()
    fixture.world.time.advance(10_000)
    expect(commit.outcomes).toHaveLength(1)
    expect(fixture.heartbeat('g').outcome).toBe(elsewhere)
    expect(fixture.world.time.pendingTimers).toBe(0)
  })

  test('by a replica that goes out of service, and by the end of the broker, is the same', () => {
    for (const end of [
      (fixture: GroupFixture) => {
        fixture.replica.outOfService = ErrorCode.KAFKA_STORAGE_ERROR
        fixture.coordinator.replicaChanged(fixture.replica)
      },
      (fixture: GroupFixture) => fixture.coordinator.end(),
    ]) {
      const fixture = replicated()
      const join = fixture.join('g')
      end(fixture)
      expect(join.outcome).toBe(elsewhere)
      expect([...fixture.coordinator.views()]).toEqual([])
    }
  })
})

describe('a shard that throws', () => {
  test('is discarded, and its partition goes on from the log', () => {
    const fixture = new GroupFixture().lead()
    fixture.commit('g', 1)
    fixture.world.time.turn()
    fixture.shard.fails = new Error('a bug')
    expect(fixture.heartbeat('g').outcome).toBe(ErrorCode.UNKNOWN_SERVER_ERROR)
    fixture.world.time.advance(1000)
    expect(fixture.heartbeat('g').outcome).toEqual(OK)
    expect(fixture.shard.replayed).toEqual(['g=1'])
  })
})

describe('time', () => {
  test('wakes a shard when something is due, and not before', () => {
    const fixture = new GroupFixture().lead()
    const dueMs = fixture.world.clock.wallMs() + 3000
    fixture.shard.nextDueMs = dueMs
    fixture.heartbeat('g')
    fixture.world.time.advance(2999)
    expect(fixture.shard.ticks).toEqual([])
    fixture.world.time.advance(2)
    expect(fixture.shard.ticks).toHaveLength(1)
    expect(fixture.shard.ticks[0]).toBeGreaterThanOrEqual(dueMs)
    fixture.world.time.advance(60_000)
    expect(fixture.shard.ticks).toHaveLength(1)
  })

  test('follows a due time that moves to either side', () => {
    const fixture = new GroupFixture().lead()
    const start = fixture.world.clock.wallMs()
    for (const due of [5000, 1000, 3000]) {
      fixture.shard.nextDueMs = start + due
      fixture.heartbeat('g')
    }
    fixture.world.time.advance(2900)
    expect(fixture.shard.ticks).toEqual([])
    fixture.world.time.advance(200)
    expect(fixture.shard.ticks).toHaveLength(1)
  })

  test('does not wake the shards of a node that slept before it is served again', () => {
    const fixture = new GroupFixture().lead()
    fixture.shard.nextDueMs = fixture.world.clock.wallMs() + 1000
    fixture.heartbeat('g')
    fixture.awake = false
    fixture.world.time.advance(5000)
    expect(fixture.shard.ticks).toEqual([])
    fixture.awake = true
    fixture.world.time.advance(500)
    expect(fixture.shard.ticks).toHaveLength(1)
  })

  test('gives the answers that a tick decided to those who were parked', () => {
    const fixture = new GroupFixture().lead()
    const join = fixture.join('g')
    fixture.shard.due = { answers: fixture.shard.parked }
    fixture.shard.nextDueMs = fixture.world.clock.wallMs() + 1000
    fixture.heartbeat('g')
    fixture.world.time.advance(1001)
    expect(join.outcome).toMatchObject({ memberId: 'm1', generation: 1 })
  })
})

describe('topics', () => {
  test('that are deleted are told to the shards by name', () => {
    const fixture = new GroupFixture().lead()
    const { id } = fixture.image.addTopic('gone', [{}])
    fixture.changes((changes) =>
      changes.add({
        all: false,
        partitions: [],
        createdTopics: [fixture.image.topicByName('gone')!],
        deletedTopics: [],
        brokers: [],
        configs: [],
      }),
    )
    expect(fixture.shard.ticks).toHaveLength(1)
    const [gone] = [fixture.image.topics.get(id)!]
    fixture.image.topics.delete(id)
    fixture.changes((changes) =>
      changes.add({ all: false, partitions: [], createdTopics: [], deletedTopics: [gone], brokers: [], configs: [] }),
    )
    expect(fixture.shard.deleted).toEqual(['gone'])
    expect(fixture.shard.ticks).toHaveLength(2)
  })

  test('that are missing after a snapshot are told as deleted', () => {
    const fixture = new GroupFixture().lead()
    fixture.commit('there', 1)
    fixture.commit('missing', 1)
    fixture.world.time.turn()
    fixture.broker.topic('there')
    fixture.changes((changes) => {
      changes.all = true
    })
    expect(fixture.shard.deleted).toEqual(['missing'])
  })
})

test('every rebalance is one line that says why, how long, how many and what moved', () => {
  const fixture = new GroupFixture().lead()
  const causes = [{ reason: 'left' as const, memberId: 'm', clientId: 'c', detail: 'closing' }]
  const rebalances = [
    { groupId: 'g', generation: 3, causes, startedMs: 10, endedMs: 35, members: 2, moved: 4, moves: [] },
  ]
  fixture.shard.more = { rebalances, answers: [answerOf('x', () => {}, {})] }
  fixture.heartbeat('g')
  expect(fixture.world.log.lines.filter(({ event }) => event === 'group rebalanced')).toMatchObject([
    { level: 'info', fields: { group: 'g', generation: 3, causes, durationMs: 25, members: 2, moved: 4 } },
  ])
})
