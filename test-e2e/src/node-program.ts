// Which program a node of a cluster is: this project's, or Apache Kafka beside which to look at it.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
/** The command line's entry. */
export const MAIN = join(root, 'packages/cli/src/main.js')

export interface NodeProgram {
  /** Lines of server.properties that every node of it needs. */
  lines(node: { readonly httpPort: number }): readonly string[]
  /** Makes a folder ready for the first start. */
  prepare(configFile: string): void
  command(configFile: string): readonly [string, ...string[]]
}

export const MILLRACE: NodeProgram = {
  lines: ({ httpPort }) => [`http.listener=127.0.0.1:${httpPort}`],
  prepare: () => {},
  command: (configFile) => [process.execPath, MAIN, 'server', '--config', configFile],
}

const CLUSTER_ID = 'MkU3OEVBNTcwNTJENDM2Qk'
const LOG4J = `Configuration:
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "%d %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: STDOUT}]}
`

/** Apache Kafka, from the jars in the folder that KAFKA_LIBS names. Throws without them. */
export function apacheKafka(): NodeProgram {
  const libs = process.env['KAFKA_LIBS'] ?? ''
  if (libs === '') throw new Error('Apache Kafka needs Java and KAFKA_LIBS=<folder of its jars>')
  const classes = ['-cp', `${libs}/*`]
  return {
    lines: () => ['inter.broker.listener.name=PLAINTEXT'],
    prepare: (configFile) => {
      writeFileSync(`${configFile}.log4j2.yaml`, LOG4J)
      const tool = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', configFile]
      const { status, stderr } = spawnSync('java', [...classes, ...tool], { encoding: 'utf8' })
      if (status !== 0) throw new Error(`Kafka's folder could not be formatted: ${stderr}`)
    },
    command: (configFile) => {
      const options = ['-Xms512m', '-Xmx512m', '-XX:+UseG1GC', `-Dlog4j2.configurationFile=${configFile}.log4j2.yaml`]
      return ['java', ...options, ...classes, 'kafka.Kafka', configFile]
    },
  }
}
