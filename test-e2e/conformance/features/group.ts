import { Difference, eventually, holds, same, sameRecords } from '../core/checks.ts'
import { type Adapter, ClientError } from '../core/adapter.ts'
import type { GroupProtocol, PlainRecord, ReadRecord } from '../core/operations.ts'
import { sampleRecords, type Stage } from '../core/stage.ts'
import type { Feature } from './feature.ts'

const PARTITIONS = 4
const COUNT = 25

/** A group of one cell, and everything that its members were handed. */
export class GroupPlay {
  readonly group: string
  readonly topic: string
  /** By member, in the order in which they came. */
  readonly seen = new Map<string, ReadRecord[]>()
  private readonly stage: Stage
  private readonly protocol: GroupProtocol
  /** The client that each member is. */
  private readonly clients = new Map<string, Adapter>()
  private readonly assigned = new Map<string, readonly number[] | null>()
  private readonly written = new Map<number, number>()
  /** Offsets that were committed at a moment of rest: nothing below may be handed out again. */
  private floor: Record<number, number> = {}

  constructor(stage: Stage, topic: string, protocol: GroupProtocol) {
    this.stage = stage
    this.topic = topic
    this.group = stage.group
    this.protocol = protocol
  }

  async join(member: string, protocol = this.protocol): Promise<void> {
    this.seen.set(member, [])
    this.assigned.set(member, [])
    const client = protocol === 'consumer' ? this.stage.modern : this.stage.adapter
    this.clients.set(member, client)
    await client.ask('join', { member, group: this.group, topic: this.topic, protocol })
  }

  async leave(member: string): Promise<void> {
    await this.client(member).ask('leave', { member })
    this.assigned.delete(member)
  }

  async write(label: string, count = COUNT): Promise<PlainRecord[]> {
    const records = sampleRecords(PARTITIONS, count, label)
    await this.stage.judge.seed(this.topic, records)
    for (let partition = 0; partition < PARTITIONS; partition++)
      this.written.set(partition, (this.written.get(partition) ?? 0) + count)
    return records
  }

  /** Takes from every member what it has. */
  async pollAll(): Promise<void> {
    for (const member of this.assigned.keys()) {
      const { records, assigned } = await this.client(member).ask('poll', { member, timeoutMs: 200 })
      this.assigned.set(member, assigned)
      for (const record of records)
        holds(
          record.offset >= (this.floor[record.partition] ?? 0),
          `${member} was handed ${record.partition}@${record.offset} again, although ${this.floor[record.partition]} was committed (OffsetCommit, OffsetFetch)`,
        )
      this.seen.get(member)?.push(...records)
    }
  }

  /** Every partition has one owner, and every member owns some. */
  async shared(): Promise<void> {
    await eventually('a division of the partitions (JoinGroup, SyncGroup or ConsumerGroupHeartbeat)', async () => {
      await this.pollAll()
      const owners = [...this.assigned.values()]
      if (owners.includes(null)) return this.sharedBySight()
      const all = owners.flatMap((own) => own ?? []).sort((a, b) => a - b)
      if (owners.every((own) => own !== null && own.length > 0) && String(all) === String(partitions())) return true
      return `the members own ${JSON.stringify(Object.fromEntries(this.assigned))}`
    })
  }

  /** For members that do not tell what they own: of one record for each partition, everybody gets some. */
  private async sharedBySight(): Promise<true | string> {
    const before = new Map([...this.seen].map(([member, records]) => [member, records.length]))
    await this.write('probe', 1)
    await this.readAll()
    const idle = [...this.assigned.keys()].filter((member) => this.records(member).length === before.get(member))
    return idle.length === 0 || `${idle.join(', ')} got none of one record for each partition`
  }

  /** Everything that was written has been handed to somebody. */
  async readAll(): Promise<void> {
    await eventually('reading all that was written (Fetch, OffsetFetch)', async () => {
      await this.pollAll()
      const offsets = new Set([...this.seen.values()].flat().map(({ partition, offset }) => `${partition}@${offset}`))
      const missing = partitions().flatMap((partition) =>
        Array.from({ length: this.written.get(partition) ?? 0 }, (_, offset) => `${partition}@${offset}`).filter(
          (name) => !offsets.has(name),
        ),
      )
      return missing.length === 0 || `${missing.length} were not seen, the first is ${missing[0]}`
    })
  }

  /** Members commit what they were handed until the group's offsets are the ends; from here on nothing may come twice. */
  async commitAll(): Promise<void> {
    let failure = ''
    await eventually('a commit of all that was read (OffsetCommit)', async () => {
      await this.pollAll()
      for (const member of this.assigned.keys()) {
        if (this.client(member) === this.stage.adapter && this.stage.habits.commitsByItself === true) continue
        const committed = this.client(member).ask('commit', { member })
        await committed.catch((error: unknown) => {
          // A commit during a rebalance is refused, and is repeated.
          if (!(error instanceof ClientError)) throw error
          failure = error.message
        })
      }
      const committed = await this.stage.judge.committed(this.group, this.topic, PARTITIONS)
      const ends = Object.fromEntries(this.written)
      if (JSON.stringify(committed) === JSON.stringify(ends)) return true
      return `the group has ${JSON.stringify(committed)} of ${JSON.stringify(ends)}. ${failure}`
    })
    this.floor = Object.fromEntries(this.written)
  }

  /** The group is of this type now, whoever made it so. */
  async becomes(type: GroupProtocol): Promise<void> {
    await eventually(`a group of the type ${type} (JoinGroup, ConsumerGroupHeartbeat, ListGroups)`, async () => {
      await this.pollAll()
      const now = await this.stage.judge.groupType(this.group)
      return now === type || `it is ${now}`
    })
  }

  private client(member: string): Adapter {
    return this.clients.get(member) ?? this.stage.adapter
  }

  /** What a member was handed, in order, once for each offset. */
  records(member: string): ReadRecord[] {
    return this.seen.get(member) ?? []
  }
}

function partitions(): number[] {
  return Array.from({ length: PARTITIONS }, (_, at) => at)
}

async function play(stage: Stage, protocol: GroupProtocol): Promise<GroupPlay> {
  return new GroupPlay(stage, await stage.topic(PARTITIONS), protocol)
}

async function consumesAlone(stage: Stage): Promise<void> {
  const group = await play(stage, 'classic')
  const before = await group.write('before')
  await group.join('only')
  await group.readAll()
  const after = await group.write('after')
  await group.readAll()
  sameRecords('read by the only member', group.records('only'), [...before, ...after])
  await group.leave('only')
}

async function rebalances(stage: Stage, protocol: GroupProtocol): Promise<void> {
  const group = await play(stage, protocol)
  await group.write('alone')
  await group.join('stays')
  await group.readAll()
  await group.commitAll()
  await group.join('goes')
  await group.write('meanwhile', 5)
  await group.shared()
  await group.write('shared')
  await group.readAll()
  await group.commitAll()
  holds(group.records('goes').length > 0, 'the second member was handed nothing')
  await group.write('uncommitted', 5)
  await group.readAll()
  await group.leave('goes')
  await group.write('alone again')
  await group.readAll()
  await group.shared()
  await group.commitAll()
  await group.leave('stays')
}

async function resumes(stage: Stage, protocol: GroupProtocol): Promise<void> {
  const group = await play(stage, protocol)
  await group.write('committed')
  await group.join('first')
  await group.readAll()
  await group.commitAll()
  let rest: PlainRecord[] = []
  if (stage.habits.commitsByItself !== true) {
    // Read, but not committed: the next member gets it again.
    rest = await group.write('uncommitted', 5)
    await group.readAll()
  }
  await group.leave('first')
  rest = [...rest, ...(await group.write('while nobody was there', 5))]
  await group.join('second')
  await eventually('reading on from the commit (OffsetFetch, Fetch)', async () => {
    await group.pollAll()
    const count = group.records('second').length
    return count >= rest.length || `the second member was handed ${count} of ${rest.length} records`
  })
  const start = Object.fromEntries(partitions().map((partition) => [partition, COUNT]))
  sameRecords('read on after the commit', group.records('second'), rest, start)
  await group.commitAll()
  await group.leave('second')
}

/** While the first member stays, one of the other protocol comes and goes; of which type the group is then. */
async function migrates(stage: Stage, stays: GroupProtocol): Promise<void> {
  const goes = stays === 'classic' ? 'consumer' : 'classic'
  const group = await play(stage, stays)
  await group.write('alone')
  await group.join('stays')
  await group.readAll()
  await group.commitAll()
  await group.becomes(stays)
  await group.join('goes', goes)
  await group.write('meanwhile', 5)
  await group.shared()
  await group.becomes('consumer')
  await group.write('shared')
  await group.readAll()
  await group.commitAll()
  holds(group.records('goes').length > 0, `the member of the ${goes} protocol was handed nothing`)
  await group.leave('goes')
  await group.write('alone again')
  await group.readAll()
  await group.shared()
  await group.commitAll()
  await group.becomes(stays)
  await group.leave('stays')
}

export const groupFeatures: readonly Feature[] = [
  {
    name: 'consume-group',
    shows: 'one member of a group reads everything from the earliest offset, once',
    run: consumesAlone,
  },
  {
    name: 'rebalance',
    shows: 'a member comes and goes: the partitions are divided, every record is seen, nothing committed comes twice',
    run: (stage) => rebalances(stage, 'classic'),
  },
  {
    name: 'commit-resume',
    shows: 'the next member reads on exactly where the last commit was',
    run: (stage) => resumes(stage, 'classic'),
  },
  {
    name: 'consumer-protocol',
    shows: 'the same rebalance and the same resumption with group.protocol=consumer (KIP-848)',
    run: (stage) => rebalances(stage, 'consumer'),
  },
  {
    name: 'consumer-protocol-resume',
    shows: 'the same resumption with group.protocol=consumer (KIP-848)',
    run: (stage) => resumes(stage, 'consumer'),
  },
  {
    name: 'group-migration',
    shows:
      'a member with group.protocol=consumer comes into a classic group and goes: its type changes, nothing is lost',
    mixesProtocols: true,
    run: (stage) => migrates(stage, 'classic'),
  },
  {
    name: 'group-mixed',
    shows: 'a classic member comes into a group of the consumer protocol and goes: both read, nothing is lost',
    mixesProtocols: true,
    run: (stage) => migrates(stage, 'consumer'),
  },
  { name: 'admin-groups', shows: 'groups are listed, described and deleted', run: administersGroups },
]

async function administersGroups(stage: Stage): Promise<void> {
  const group = await play(stage, 'classic')
  const name = { group: group.group }
  await group.write('some')
  await group.join('only')
  await group.readAll()
  await group.commitAll()
  const { groups } = await stage.ask('listGroups', {})
  holds(groups.includes(group.group), `ListGroups lacks ${group.group}`)
  const stable = await stage.ask('describeGroup', name)
  same(
    'description of a group with a member',
    { ...stable, state: stable.state.toLowerCase() },
    { state: 'stable', members: 1 },
  )
  const { offsets } = await stage.ask('groupOffsets', { ...name, topic: group.topic })
  same('OffsetFetch', sorted(offsets), sorted(await stage.judge.ends(group.topic, PARTITIONS)))
  const early = await stage.ask('deleteGroup', name).then(
    () => true,
    () => false,
  )
  if (early) throw new Difference('DeleteGroups deleted a group that has a member')
  await group.leave('only')
  await eventually('an empty group after its last member left (LeaveGroup, DescribeGroups)', async () => {
    const { state } = await stage.ask('describeGroup', name)
    return state.toLowerCase() === 'empty' || `its state is ${state}`
  })
  await stage.ask('deleteGroup', name)
  const after = await stage.ask('listGroups', {})
  holds(!after.groups.includes(group.group), 'ListGroups still has the group after DeleteGroups')
}

function sorted(offsets: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(offsets).sort(([a], [b]) => Number(a) - Number(b))
}
