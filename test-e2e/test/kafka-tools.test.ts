// Kafka's own properties files start a cluster, and Kafka's own tools work against it; bad files are refused with all that is wrong.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView, waitFor } from '../src/cluster-view.ts'
import { hasKafka, kafkaTool, type KafkaTool } from '../src/kafka-tools.ts'
import { badLines } from '../src/log-lines.ts'
import { MAIN, ProcessCluster } from '../src/process-cluster.ts'

/** What a usual server.properties of Kafka has beside the lines that every node here gets. */
const KAFKA_LINES = [
  'inter.broker.listener.name=PLAINTEXT',
  'offsets.topic.replication.factor=3',
  'transaction.state.log.replication.factor=3',
  'transaction.state.log.min.isr=2',
  'share.coordinator.state.topic.replication.factor=3',
  'share.coordinator.state.topic.min.isr=2',
  'group.initial.rebalance.delay.ms=0',
  'num.partitions=1',
  'num.network.threads=3',
  'log.retention.hours=168',
]
const TOPIC = 'tools'

describe.skipIf(!hasKafka)('Kafka’s own tools', () => {
  let cluster: ProcessCluster
  let view: ClusterView
  let bootstrap: string

  beforeAll(async () => {
    cluster = await ProcessCluster.start(3, KAFKA_LINES)
    view = new ClusterView(cluster)
    bootstrap = cluster.bootstrap.join(',')
  })

  afterAll(() => cluster?.stop())

  /** Runs a tool that must succeed; returns its standard output. */
  async function tool(name: KafkaTool, args: readonly string[], input = ''): Promise<string> {
    const { status, out, err } = await kafkaTool(name, args, input)
    expect({ status, err: status === 0 ? '' : `${out}${err}` }).toEqual({ status: 0, err: '' })
    return out
  }

  it('topics creates, lists, describes and grows a topic', async () => {
    const create = [
      '--create',
      '--topic',
      TOPIC,
      '--partitions',
      '2',
      '--replication-factor',
      '3',
      '--config',
      'min.insync.replicas=2',
    ]
    expect(await tool('topics', ['--bootstrap-server', bootstrap, ...create])).toContain(`Created topic ${TOPIC}.`)
    await tool('topics', ['--bootstrap-server', bootstrap, '--alter', '--topic', TOPIC, '--partitions', '3'])
    const described = await tool('topics', ['--bootstrap-server', bootstrap, '--describe', '--topic', TOPIC])
    expect(described).toMatch(/PartitionCount: 3\s+ReplicationFactor: 3\s+Configs: .*min\.insync\.replicas=2/)
    expect(described.match(/Isr: \d,\d,\d/g)).toHaveLength(3)
    expect((await tool('topics', ['--bootstrap-server', bootstrap, '--list'])).split('\n')).toContain(TOPIC)
    const again = await kafkaTool('topics', ['--bootstrap-server', bootstrap, ...create])
    expect(again.status).toBe(1)
    expect(again.out + again.err).toContain('TopicExistsException')
  })

  it('configs sets and shows settings', async () => {
    const entity = ['--bootstrap-server', bootstrap, '--entity-type', 'topics', '--entity-name', TOPIC]
    await tool('configs', [...entity, '--alter', '--add-config', 'retention.ms=3600000,cleanup.policy=delete'])
    const shown = await tool('configs', [...entity, '--describe'])
    expect(shown).toContain('retention.ms=3600000')
    const bad = await kafkaTool('configs', [...entity, '--alter', '--add-config', 'retention.ms=soon'])
    expect(bad.status).toBe(1)
    expect(bad.out + bad.err).toMatch(/InvalidConfigurationException|InvalidRequestException/)
  })

  it('console-producer writes and console-consumer reads a partition', async () => {
    const lines = Array.from({ length: 50 }, (_, at) => `line ${at}`)
    const settings = [
      '--command-property',
      'enable.idempotence=false',
      '--command-property',
      'acks=all',
      '--command-property',
      'partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner',
    ]
    await tool(
      'console-producer',
      ['--bootstrap-server', bootstrap, '--topic', TOPIC, ...settings],
      `${lines.join('\n')}\n`,
    )
    const offsets = await tool('get-offsets', ['--bootstrap-server', bootstrap, '--topic', TOPIC])
    const counts = [...offsets.matchAll(/^tools:(\d):(\d+)$/gm)].map(([, , count]) => Number(count))
    expect(counts).toHaveLength(3)
    expect(counts.reduce((a, b) => a + b)).toBe(50)
    const read: string[] = []
    for (const [partition, count] of counts.entries()) {
      if (count === 0) continue
      const args = [
        '--topic',
        TOPIC,
        '--partition',
        String(partition),
        '--offset',
        'earliest',
        '--max-messages',
        String(count),
        '--timeout-ms',
        '20000',
      ]
      read.push(...(await tool('console-consumer', ['--bootstrap-server', bootstrap, ...args])).trimEnd().split('\n'))
    }
    expect(read.toSorted()).toEqual(lines.toSorted())
  })

  it('delete-records moves the log start', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-e2e-json-'))
    const file = join(folder, 'offsets.json')
    writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic: TOPIC, partition: 0, offset: -1 }] }))
    const deleted = await tool('delete-records', ['--bootstrap-server', bootstrap, '--offset-json-file', file])
    rmSync(folder, { recursive: true })
    const end = Number(/partition: tools-0\s+low_watermark: (\d+)/.exec(deleted)?.[1])
    const earliest = await tool('get-offsets', [
      '--bootstrap-server',
      bootstrap,
      '--topic-partitions',
      `${TOPIC}:0`,
      '--time',
      '-2',
    ])
    expect(earliest.trim()).toBe(`${TOPIC}:0:${end}`)
  })

  it('log-dirs tells every replica’s folder and size', async () => {
    const out = await tool('log-dirs', ['--bootstrap-server', bootstrap, '--describe', '--topic-list', TOPIC])
    const told = JSON.parse(out.split('\n').find((line) => line.startsWith('{')) ?? '{}') as {
      brokers: {
        broker: number
        logDirs: { error: string | null; logDir: string; partitions: { partition: string; size: number }[] }[]
      }[]
    }
    expect(told.brokers.map(({ broker }) => broker).toSorted((a, b) => a - b)).toEqual([1, 2, 3])
    for (const { broker, logDirs } of told.brokers) {
      expect(logDirs[0]?.logDir).toBe(cluster.node(broker).data)
      expect(logDirs[0]?.error).toBeNull()
      expect(logDirs[0]?.partitions.map(({ partition }) => partition).toSorted()).toEqual([
        `${TOPIC}-0`,
        `${TOPIC}-1`,
        `${TOPIC}-2`,
      ])
    }
  })

  it('metadata-quorum tells the leader and voters, cluster the cluster id', async () => {
    const controller = await view.controller()
    const status = await tool('metadata-quorum', ['--bootstrap-server', bootstrap, 'describe', '--status'])
    expect(status).toMatch(new RegExp(`LeaderId:\\s+${controller}\\b`))
    expect(status).toMatch(/MaxFollowerLag:\s+\d/)
    const replication = await tool('metadata-quorum', ['--bootstrap-server', bootstrap, 'describe', '--replication'])
    expect(replication.match(/\b(Leader|Follower)\b/g)).toHaveLength(3)
    const { clusterId } = await view.ask((wire) => wire.metadata([]))
    expect(status).toContain(clusterId)
    expect(await tool('cluster', ['cluster-id', '--bootstrap-server', bootstrap])).toContain(`Cluster ID: ${clusterId}`)
  })

  it('leader-election moves a leadership back to the preferred replica', async () => {
    const { replicas } = await view.partition(TOPIC, 1)
    const preferred = replicas[0] as number
    await cluster.node(preferred).kill('SIGTERM')
    await waitFor('another leader', 10_000, async () =>
      (await view.partition(TOPIC, 1)).leader !== preferred ? true : null,
    )
    cluster.node(preferred).start()
    await cluster.node(preferred).listening()
    await waitFor('a whole ISR', 20_000, async () => ((await view.partition(TOPIC, 1)).isr.length === 3 ? true : null))
    const args = ['--bootstrap-server', bootstrap, '--election-type', 'preferred', '--topic', TOPIC, '--partition', '1']
    expect(await tool('leader-election', args)).toMatch(
      /Successfully completed leader election|Valid replica already elected/,
    )
    await waitFor('the preferred leader', 5_000, async () =>
      (await view.partition(TOPIC, 1)).leader === preferred ? true : null,
    )
    expect((await view.partition(TOPIC, 1)).leader).toBe(preferred)
  })

  it('topics deletes a topic', async () => {
    await tool('topics', ['--bootstrap-server', bootstrap, '--delete', '--topic', TOPIC])
    expect((await tool('topics', ['--bootstrap-server', bootstrap, '--list'])).split('\n')).not.toContain(TOPIC)
  })

  it('the nodes left only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})

describe('a properties file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-e2e-config-'))

  afterAll(() => rmSync(folder, { recursive: true }))

  function start(text: string | null): Promise<{ code: number | null; said: string; out: string; file: string }> {
    const file = join(folder, 'server.properties')
    if (text === null) rmSync(file, { force: true })
    else writeFileSync(file, text)
    return new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        [MAIN, 'server', '--config', file],
        { timeout: 20_000 },
        (_error, out, said) => resolve({ code: child.exitCode, said, out, file }),
      )
    })
  }

  it('with several faults is refused with all of them and their lines', async () => {
    const { code, said, out, file } = await start(
      [
        'process.roles=broker,controller',
        'node.id=one',
        'controller.quorum.voters=1@127.0.0.1',
        'listeners=PLAINTEXT//127.0.0.1:9092,CONTROLLER://127.0.0.1:99999',
        'controller.listener.names=CONTROLLER',
        'num.partitons=3',
        'log.retention.ms=soon',
        'min.insync.replicas=0',
      ].join('\n'),
    )
    expect({ code, out }).toEqual({ code: 1, out: '' })
    for (const line of [2, 3, 4, 6, 7, 8]) expect(said).toContain(`${file}:${line}: `)
    expect(said).toContain('did you mean "num.partitions"?')
    expect(said).toContain('log.dirs is missing')
    expect(said).not.toMatch(/\bat .*\.ts:\d+/)
  })

  it('that is missing or empty is refused with what is needed', async () => {
    expect(await start(null)).toMatchObject({ code: 1, said: expect.stringContaining('cannot be read') as string })
    const { code, said } = await start('')
    expect(code).toBe(1)
    for (const key of ['process.roles', 'node.id', 'controller.quorum.voters', 'log.dirs'])
      expect(said).toContain(`${key} is missing`)
  })
})
