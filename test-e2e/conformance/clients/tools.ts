// Apache Kafka's own command line tools, from KAFKA_LIBS or from the artifacts that its distribution is made of.
import { join } from 'node:path'
import type { ClientSpec } from '../core/client.ts'
import { runProgram } from '../core/install.ts'
import type { ToolRunner } from '../core/stage.ts'
import { JAVA_OPTIONS, jars, missingJava } from './java-clients.ts'
import { ToolsAdapter } from './tools-adapter.ts'

const VERSION = '4.3.1'
const TOOLS = 'org.apache.kafka.tools'
const CLASSES: Readonly<Record<string, string>> = {
  'broker-api-versions': `${TOOLS}.BrokerApiVersionsCommand`,
  cluster: `${TOOLS}.ClusterTool`,
  configs: 'kafka.admin.ConfigCommand',
  'console-consumer': `${TOOLS}.consumer.ConsoleConsumer`,
  'console-producer': `${TOOLS}.ConsoleProducer`,
  'consumer-groups': `${TOOLS}.consumer.group.ConsumerGroupCommand`,
  'consumer-perf': `${TOOLS}.ConsumerPerformance`,
  'delete-records': `${TOOLS}.DeleteRecordsCommand`,
  features: `${TOOLS}.FeatureCommand`,
  'get-offsets': `${TOOLS}.GetOffsetShell`,
  groups: `${TOOLS}.GroupsCommand`,
  'leader-election': `${TOOLS}.LeaderElectionCommand`,
  'log-dirs': `${TOOLS}.LogDirsCommand`,
  'metadata-quorum': `${TOOLS}.MetadataQuorumCommand`,
  'producer-perf': `${TOOLS}.ProducerPerformance`,
  'reassign-partitions': `${TOOLS}.reassign.ReassignPartitionsCommand`,
  topics: `${TOOLS}.TopicCommand`,
  transactions: `${TOOLS}.TransactionsCommand`,
}

/** The command line of a tool, without a shell script of the distribution. */
export type ToolCommand = (name: string, args: readonly string[]) => { command: string; args: string[] }

function toolRunner(command: ToolCommand): ToolRunner {
  return async (name, args, input = '') => {
    const program = command(name, args)
    const { status, out, err } = await runProgram(program.command, program.args, { input })
    // Some tools end with 0 and print that they failed.
    if (status !== 0 || /^(Error:|Error while executing)/m.test(out + err))
      throw new Error(`${name} ended with ${status}: ${complaint(`${out}\n${err}`)}`)
    return out
  }
}

/** What a tool printed from its first error on, without the stack traces; the end of it where no line looks like an error. */
function complaint(printed: string): string {
  const lines = printed.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('\tat '))
  const first = lines.findIndex((line) => /error|exception/i.test(line))
  return (first === -1 ? lines.slice(-5) : lines.slice(first, first + 4)).join(' | ').slice(0, 500)
}

export const tools: ClientSpec = {
  name: 'kafka-tools',
  version: VERSION,
  habits: {
    commitsByItself: true,
    noTimestamps: true,
    noPartitionChoice: true,
    cannotWrite: ['binary'],
  },
  lacks: {},
  install: async () => {
    const given = process.env['KAFKA_LIBS'] ?? ''
    const missing = await missingJava({ jars: given === '' })
    if (missing !== null) return missing
    const artifacts = [`org.apache.kafka:kafka_2.13:${VERSION}`, `org.apache.kafka:kafka-tools:${VERSION}`]
    const libs = given === '' ? join(await jars(`tools-${VERSION}`, artifacts), 'lib') : given
    const command: ToolCommand = (name, args) => ({
      command: 'java',
      args: [...JAVA_OPTIONS, '-cp', join(libs, '*'), CLASSES[name] ?? name, ...args],
    })
    const tool = toolRunner(command)
    return {
      start: (bootstrap) => new ToolsAdapter(bootstrap, tool, command),
      tool: (bootstrap) => (name, args, input) => {
        const address = ['--bootstrap-server', bootstrap]
        // Its commands take the address, the others' commands do not.
        return tool(name, name === 'cluster' ? [...args, ...address] : [...address, ...args], input)
      },
    }
  },
}
