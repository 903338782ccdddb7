import { type Adapter, ClientError } from '../core/adapter.ts'
import { withFiles } from '../core/files.ts'
import type { Answer, Arguments, FetchArgs, JoinArgs, OperationName, ProduceArgs } from '../core/operations.ts'
import { ProgramMember } from '../core/program-member.ts'
import type { ToolRunner } from '../core/stage.ts'
import { consoleLine, FORMAT, parseConsole, READER } from './console-lines.ts'
import type { ToolCommand } from './tools.ts'

type Run<O extends OperationName> = (args: Arguments<O>) => Promise<Answer<O> | string | void>

const EARLIEST = -2

/** The suite's operations as calls of Kafka's command line tools. */
export class ToolsAdapter implements Adapter {
  private readonly bootstrap: string
  private readonly tool: ToolRunner
  private readonly command: ToolCommand
  private readonly members = new Map<string, ProgramMember>()

  constructor(bootstrap: string, tool: ToolRunner, command: ToolCommand) {
    this.bootstrap = bootstrap
    this.tool = (name, args, input) => tool(name, ['--bootstrap-server', bootstrap, ...args], input)
    this.command = command
  }

  async ask<O extends OperationName>(operation: O, args: Arguments<O>): Promise<Answer<O>> {
    const own = this.operations()
    const run = own[operation] as unknown as Run<O>
    try {
      return (await run(args)) as Answer<O>
    } catch (error) {
      throw new ClientError(operation, error instanceof Error ? error.message : String(error))
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.members.values()].map((member) => member.leave()))
  }

  private operations(): { readonly [O in OperationName]: Run<O> } {
    return {
      produce: (args) => this.produce(args),
      fetch: (args) => this.fetch(args),
      offsetsAt: (args) => this.offsetsAt(args),
      join: (args) => this.join(args),
      poll: ({ member, timeoutMs }) => this.member(member).poll(timeoutMs),
      commit: async () => {
        throw new Error('console-consumer commits by itself')
      },
      leave: ({ member }) => this.member(member).leave(),
      createTopic: (args) => this.createTopic(args),
      listTopics: async () => ({ topics: lines(await this.tool('topics', ['--list'])) }),
      describeTopic: (args) => this.describeTopic(args),
      deleteTopic: ({ topic }) => this.tool('topics', ['--delete', '--topic', topic]),
      createPartitions: ({ topic, count }) =>
        this.tool('topics', ['--alter', '--topic', topic, '--partitions', String(count)]),
      deleteRecords: (args) => this.deleteRecords(args),
      topicConfig: (args) => this.topicConfig(args),
      alterTopicConfig: ({ topic, set }) => {
        const change = Object.entries(set).map(([name, value]) => `${name}=${value}`)
        const entity = ['--entity-type', 'topics', '--entity-name', topic]
        return this.tool('configs', ['--alter', ...entity, '--add-config', change.join(',')])
      },
      listGroups: async () => ({ groups: lines(await this.tool('consumer-groups', ['--list'])) }),
      describeGroup: (args) => this.describeGroup(args),
      groupOffsets: (args) => this.groupOffsets(args),
      deleteGroup: ({ group }) => this.tool('consumer-groups', ['--delete', '--group', group]),
    }
  }

  private async produce({ topic, records, codec = 'none', acks = -1, idempotent = false }: ProduceArgs) {
    const settings = [`acks=${acks}`, `enable.idempotence=${idempotent}`, 'linger.ms=100', 'max.request.size=2000000']
    const given = ['--topic', topic, '--compression-codec', codec, ...flags('--command-property', settings)]
    await this.tool('console-producer', [...given, ...READER], records.map(consoleLine).join(''))
    return { offsets: null }
  }

  private async fetch({ topic, from, count, timeoutMs }: FetchArgs) {
    const records = []
    const starts = Object.entries(from)
    for (const [partition, offset] of starts) {
      const start = offset === EARLIEST ? 'earliest' : String(offset)
      const place = ['--topic', topic, '--partition', partition, '--offset', start]
      const end = ['--max-messages', String(count / starts.length), '--timeout-ms', String(timeoutMs)]
      const printed = await this.tool('console-consumer', [...place, ...end, ...FORMAT])
      records.push(...parseConsole(Buffer.from(printed)).records)
    }
    return { records }
  }

  private async offsetsAt({ topic, partitions, timestamp }: Arguments<'offsetsAt'>) {
    const names = partitions.map((partition) => `${topic}:${partition}`).join(',')
    const printed = await this.tool('get-offsets', ['--topic-partitions', names, '--time', String(timestamp)])
    const found = lines(printed).map((line) => line.split(':'))
    // No offset is printed where there is none.
    const known = found.map(
      ([, partition = '', offset = '']) => [partition, offset === '' ? -1 : Number(offset)] as const,
    )
    return { offsets: Object.fromEntries(known) }
  }

  private async join({ member, group, topic, protocol }: JoinArgs) {
    const times = protocol === 'classic' ? ['session.timeout.ms=10000', 'heartbeat.interval.ms=300'] : []
    const settings = [`group.protocol=${protocol}`, 'auto.commit.interval.ms=200', 'fetch.max.wait.ms=250', ...times]
    const own = ['--topic', topic, '--group', group, '--from-beginning', ...flags('--command-property', settings)]
    const program = this.command('console-consumer', ['--bootstrap-server', this.bootstrap, ...own, ...FORMAT])
    this.members.set(member, new ProgramMember(program, { parse: parseConsole }))
  }

  private async createTopic({ topic, partitions, replication, config }: Arguments<'createTopic'>) {
    const size = ['--partitions', String(partitions), '--replication-factor', String(replication)]
    const settings = flags(
      '--config',
      Object.entries(config).map(([name, value]) => `${name}=${value}`),
    )
    await this.tool('topics', ['--create', '--topic', topic, ...size, ...settings])
  }

  private async describeTopic({ topic }: { topic: string }) {
    const printed = await this.tool('topics', ['--describe', '--topic', topic])
    const numbers = (text: string | undefined): number[] => (text ?? '').split(',').map(Number)
    const found = [...printed.matchAll(/Partition: (\d+)\s+Leader: (\S+)\s+Replicas: (\S+)\s+Isr: (\S+)/g)]
    const partitions = found.map(([, partition, leader, replicas, isr]) => ({
      partition: Number(partition),
      leader: Number(leader),
      replicas: numbers(replicas),
      isr: numbers(isr),
    }))
    return { partitions }
  }

  private async deleteRecords({ topic, partition, before }: Arguments<'deleteRecords'>) {
    const offsets = JSON.stringify({ version: 1, partitions: [{ topic, partition, offset: before }] })
    const printed = await withFiles({ offsets }, (files) =>
      this.tool('delete-records', ['--offset-json-file', files.offsets]),
    )
    if (/error/i.test(printed)) throw new Error(printed)
  }

  private async topicConfig({ topic }: { topic: string }) {
    const printed = await this.tool('configs', [
      '--describe',
      '--all',
      '--entity-type',
      'topics',
      '--entity-name',
      topic,
    ])
    const found = [...printed.matchAll(/^\s+(\S+)=(.*?) sensitive=/gm)]
    return { config: Object.fromEntries(found.map(([, name, value]) => [name, value])) as Record<string, string> }
  }

  private async describeGroup({ group }: { group: string }) {
    const printed = await this.tool('consumer-groups', ['--describe', '--group', group, '--state'])
    const row =
      lines(printed)
        .find((line) => line.startsWith(group))
        ?.trim()
        .split(/\s+/) ?? []
    return { state: row.at(-2) ?? 'unknown', members: Number(row.at(-1) ?? -1) }
  }

  private async groupOffsets({ group, topic }: { group: string; topic: string }) {
    const printed = await this.tool('consumer-groups', ['--describe', '--group', group, '--offsets'])
    const rows = lines(printed)
      .map((line) => line.trim().split(/\s+/))
      .filter((row) => row[1] === topic)
    return { offsets: Object.fromEntries(rows.map((row) => [row[2], Number(row[3])])) as Record<string, number> }
  }

  private member(name: string): ProgramMember {
    const member = this.members.get(name)
    if (member === undefined) throw new Error(`no member ${name}`)
    return member
  }
}

function flags(flag: string, values: readonly string[]): string[] {
  return values.flatMap((value) => [flag, value])
}

function lines(printed: string): string[] {
  return printed.split('\n').filter((line) => line.trim() !== '')
}
