// Apache Kafka's own programs, from the jars in the folder that KAFKA_LIBS names; tests that need them are skipped without it.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'

const TOOLS = 'org.apache.kafka.tools'
const CLASSES = {
  cluster: `${TOOLS}.ClusterTool`,
  configs: 'kafka.admin.ConfigCommand',
  'consumer-groups': `${TOOLS}.consumer.group.ConsumerGroupCommand`,
  'console-consumer': `${TOOLS}.consumer.ConsoleConsumer`,
  'console-producer': `${TOOLS}.ConsoleProducer`,
  'delete-records': `${TOOLS}.DeleteRecordsCommand`,
  'dump-log': `${TOOLS}.DumpLogSegments`,
  'get-offsets': `${TOOLS}.GetOffsetShell`,
  'leader-election': `${TOOLS}.LeaderElectionCommand`,
  'log-dirs': `${TOOLS}.LogDirsCommand`,
  'metadata-quorum': `${TOOLS}.MetadataQuorumCommand`,
  'reassign-partitions': `${TOOLS}.reassign.ReassignPartitionsCommand`,
  storage: 'kafka.tools.StorageTool',
  topics: `${TOOLS}.TopicCommand`,
} as const

export type KafkaTool = keyof typeof CLASSES

export interface ToolRun {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

const libs = process.env['KAFKA_LIBS'] ?? ''

/** Whether there are Java and Kafka's jars. */
export const hasKafka = libs !== '' && existsSync(libs) && spawnSync('java', ['-version']).status === 0

if (!hasKafka)
  process.stdout.write('no Java or no KAFKA_LIBS=<folder of jars>: what needs Kafka’s own tools is skipped\n')

/** Runs one tool to its end; it is killed when that takes a minute. */
export async function kafkaTool(name: KafkaTool, args: readonly string[], input = ''): Promise<ToolRun> {
  const options = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto', '-cp', `${libs}/*`]
  const child = spawn('java', [...options, CLASSES[name], ...args], { timeout: 60_000, killSignal: 'SIGKILL' })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, out, err }
}
