import type { Adapter } from '../core/adapter.ts'
import { ClientError } from '../core/adapter.ts'
import type { ClientSpec } from '../core/client.ts'
import { has, runProgram, step } from '../core/install.ts'
import { byPartition } from '../core/judge.ts'
import type {
  Answer,
  Arguments,
  FetchArgs,
  JoinArgs,
  OperationName,
  PlainRecord,
  ProduceArgs,
} from '../core/operations.ts'
import { ProgramMember } from '../core/program-member.ts'
import { KCAT_FORMAT, parseKcat } from './kcat-output.ts'

const KEY_END = '|k|'
const RECORD_END = '|r|'
const EARLIEST = -2
const QUICK = ['-X', 'fetch.wait.max.ms=250']

/** kcat knows no operations but these; what it lacks is `n/a` in the table. */
class KcatAdapter implements Adapter {
  private readonly bootstrap: string
  private readonly members = new Map<string, ProgramMember>()

  constructor(bootstrap: string) {
    this.bootstrap = bootstrap
  }

  async ask<O extends OperationName>(operation: O, args: Arguments<O>): Promise<Answer<O>> {
    const own: { readonly [N in OperationName]?: (args: Arguments<N>) => Promise<unknown> } = {
      produce: (args) => this.produce(args),
      fetch: (args) => this.fetch(args),
      offsetsAt: (args) => this.offsetsAt(args),
      join: (args) => this.join(args),
      poll: ({ member, timeoutMs }) => this.member(member).poll(timeoutMs),
      leave: ({ member }) => this.member(member).leave(),
    }
    try {
      const run: ((args: Arguments<O>) => Promise<unknown>) | undefined = own[operation]
      if (run === undefined) throw new Error(`kcat has no ${operation}`)
      return (await run(args)) as Answer<O>
    } catch (error) {
      throw new ClientError(operation, error instanceof Error ? error.message : String(error))
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.members.values()].map((member) => member.leave()))
  }

  private async produce({ topic, records, codec = 'none', acks = -1, idempotent = false }: ProduceArgs) {
    const settings = [`acks=${acks}`, `enable.idempotence=${idempotent}`, 'linger.ms=20', 'message.max.bytes=2000000']
    const fixed = [
      '-P',
      '-t',
      topic,
      '-z',
      codec,
      '-K',
      KEY_END,
      '-D',
      RECORD_END,
      ...settings.flatMap((each) => ['-X', each]),
    ]
    for (const own of byPartition(records).values())
      for (const run of runs(own)) {
        const headers = run[0]?.headers ?? []
        const given = headers.flatMap(([name, value]) => [
          '-H',
          `${name}=${Buffer.from(value ?? '', 'base64').toString()}`,
        ])
        const nulls = hasEmptyNull(run[0]) ? ['-Z'] : []
        await this.kcat([...fixed, '-p', String(run[0]?.partition), ...given, ...nulls], inputOf(run))
      }
    return { offsets: null }
  }

  private async fetch({ topic, from }: FetchArgs) {
    const records = []
    for (const [partition, offset] of Object.entries(from)) {
      const start = offset === EARLIEST ? 'beginning' : String(offset)
      const printed = await this.kcat([
        '-C',
        '-t',
        topic,
        '-p',
        partition,
        '-o',
        start,
        '-e',
        '-q',
        '-f',
        KCAT_FORMAT,
        ...QUICK,
      ])
      records.push(...parseKcat(printed).records)
    }
    return { records }
  }

  private async offsetsAt({ topic, partitions, timestamp }: Arguments<'offsetsAt'>) {
    const offsets: Record<string, number> = {}
    for (const partition of partitions) {
      const printed = await this.kcat(['-Q', '-t', `${topic}:${partition}:${timestamp}`])
      offsets[partition] = Number(/offset (-?\d+)/.exec(printed.toString())?.[1] ?? -1)
    }
    return { offsets }
  }

  private async join({ member, group, topic }: JoinArgs) {
    const times = ['session.timeout.ms=10000', 'heartbeat.interval.ms=300', 'auto.commit.interval.ms=200']
    const settings = [...times, 'auto.offset.reset=earliest'].flatMap((each) => ['-X', each])
    const args = ['-b', this.bootstrap, '-G', group, '-u', '-f', KCAT_FORMAT, ...settings, ...QUICK, topic]
    const output = { parse: parseKcat, assigned: assignedIn }
    this.members.set(member, new ProgramMember({ command: 'kcat', args }, output))
    return {}
  }

  private member(name: string): ProgramMember {
    const member = this.members.get(name)
    if (member === undefined) throw new Error(`no member ${name}`)
    return member
  }

  private async kcat(args: readonly string[], input: Buffer | string = ''): Promise<Buffer> {
    const { status, bytes, err } = await runProgram('kcat', ['-b', this.bootstrap, ...args], {
      input,
      timeoutMs: 30_000,
    })
    if (status !== 0) throw new Error(`kcat ${args[0]} ended with ${status}: ${err.slice(-400)}`)
    return bytes
  }
}

/** kcat sets headers, and whether empty means null, for all records of one call. */
function runs(records: readonly PlainRecord[]): PlainRecord[][] {
  const split: PlainRecord[][] = []
  for (const record of records) {
    const last = split.at(-1)
    if (last?.[0] !== undefined && traits(last[0]) === traits(record)) last.push(record)
    else split.push([record])
  }
  return split
}

function traits(record: PlainRecord): string {
  return JSON.stringify([record.headers, hasEmptyNull(record)])
}

function hasEmptyNull(record: PlainRecord | undefined): boolean {
  return record?.value === null
}

/** Without the key's end a record has no key. */
function inputOf(records: readonly PlainRecord[]): Buffer {
  const pieces = records.flatMap(({ key, value }, at) => [
    ...(at === 0 ? [] : [Buffer.from(RECORD_END)]),
    ...(key === null ? [] : [Buffer.from(key, 'base64'), Buffer.from(KEY_END)]),
    Buffer.from(value ?? '', 'base64'),
  ])
  return Buffer.concat(pieces)
}

function assignedIn(line: string): number[] | null {
  if (!line.startsWith('% Group ')) return null
  const list = / assigned: (.*)$/.exec(line)?.[1]
  if (list === undefined) return / revoked/.test(line) ? [] : null
  return [...list.matchAll(/\[(\d+)\]/g)].map(([, partition]) => Number(partition))
}

const NO_ADMIN = 'kcat produces, consumes and lists; it changes no topics and no groups'
const NO_NEW_PROTOCOL = 'Debian’s librdkafka 2.0 knows the classic group protocol only'

export const kcat: ClientSpec = {
  name: 'kcat',
  version: '1.7.1 (librdkafka 2.0.2)',
  habits: { commitsByItself: true, noTimestamps: true, cannotWrite: ['binary', 'null header'] },
  lacks: {
    'consumer-protocol': NO_NEW_PROTOCOL,
    'consumer-protocol-resume': NO_NEW_PROTOCOL,
    'admin-groups': NO_ADMIN,
    'admin-topics': NO_ADMIN,
    'admin-configs': NO_ADMIN,
    'admin-partitions': NO_ADMIN,
    'admin-delete-records': NO_ADMIN,
  },
  install: async () => {
    if (!(await has('kcat', '-V'))) {
      if (process.getuid?.() !== 0 || !(await has('apt-get', '--version')))
        return 'this machine has no kcat (Debian: apt-get install kcat)'
      await step('apt-get', ['install', '-y', '--no-install-recommends', 'kcat'])
    }
    return { start: (bootstrap) => new KcatAdapter(bootstrap) }
  },
}
