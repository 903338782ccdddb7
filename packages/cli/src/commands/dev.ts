import { MillraceError } from '@millrace/base'
import { createClient } from '@millrace/client'
import { createServer } from 'node:net'
import { type DevCluster, type DevOptions, httpPort, peerPort, startInProcess, startProcesses } from '../dev-cluster.ts'
import { box, printJson } from '../output.ts'

/** A cluster for development: one node in this process, or several processes; ready when the first topic can be read. */
export async function dev(options: DevOptions): Promise<void> {
  if (options.nodes < 1 || options.nodes > 9)
    throw new MillraceError('CONFIG_INVALID', `${options.nodes} nodes are not possible.`, {
      fix: 'Choose 1 to 9 with --nodes.',
    })
  if (options.port < 1 || options.port + options.nodes > 65_536)
    throw new MillraceError('CONFIG_INVALID', `There is no port ${options.port + options.nodes - 1}.`, {
      fix: 'Choose a port from 1 to 65535 with --port.',
    })
  const ports = Array.from({ length: options.nodes }, (_, at) => options.port + at)
  for (const port of ports.flatMap((port) => [port, peerPort(port), httpPort(port)])) await checkFree(port)
  const started = performance.now()
  const cluster =
    options.nodes === 1 ? await startInProcess(options, ports[0] as number) : await startProcesses(options, ports)
  stopAtSignal(cluster, options)
  await cluster.ready
  await firstTopic(ports, options)
  announce(cluster, ports, { options, seconds: (performance.now() - started) / 1_000 })
}

/** Throws `MillraceError` PORT_TAKEN with the flag that changes it. */
async function checkFree(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new MillraceError('PORT_TAKEN', `Port ${port} on 127.0.0.1 cannot be used (${error.code}).`, {
          fix: 'Stop the program that has it, or choose other ports with --port.',
        }),
      ),
    )
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve()))
  })
}

/** A topic with a few records, so that the first consume prints something. */
async function firstTopic(ports: readonly number[], { topic, nodes }: DevOptions): Promise<void> {
  await using client = createClient({ bootstrap: ports.map((port) => `127.0.0.1:${port}`), clientId: 'millrace-dev' })
  await client.admin.waitForBrokers(nodes)
  if ((await client.admin.listTopics()).some(({ name }) => name === topic)) return
  await client.admin.createTopic({ name: topic, partitions: 3, replicationFactor: Math.min(3, nodes) })
  const producer = client.producer({ lingerMs: 0 })
  const lines = [
    'Welcome to Millrace.',
    'This topic was made for you.',
    'Write to it, and read it from anywhere that speaks Kafka.',
  ]
  await Promise.all(lines.map((value, at) => producer.send({ topic, partition: 0, key: `line-${at + 1}`, value })))
}

function announce(
  cluster: DevCluster,
  ports: readonly number[],
  shown: { options: DevOptions; seconds: number },
): void {
  const { options, seconds } = shown
  const bootstrap = ports.map((port) => `127.0.0.1:${port}`).join(',')
  if (options.json === true)
    return printJson({
      ready: true,
      bootstrap,
      http: ports.map((port) => `http://127.0.0.1:${httpPort(port)}`),
      nodes: options.nodes,
      data: cluster.folder,
      persistent: cluster.persistent,
      topic: options.topic,
      seconds: Number(seconds.toFixed(3)),
    })
  const run = process.env['npm_lifecycle_event'] === undefined ? 'millrace' : 'npm run -s millrace --'
  const at = options.port === 9092 ? '' : ` -b 127.0.0.1:${options.port}`
  const data =
    cluster.folder === null
      ? 'in memory, gone when this stops (--data FOLDER keeps it)'
      : cluster.persistent
        ? `${cluster.folder}, stays`
        : `${cluster.folder}, removed when this stops (--data FOLDER keeps it)`
  const lines = [
    `Millrace is ready: ${options.nodes} node${options.nodes === 1 ? '' : 's'} in ${seconds.toFixed(1)} s`,
    '',
    `bootstrap  ${bootstrap}`,
    `data       ${data}`,
    `produce    ${run} produce ${options.topic}${at} --value "hello"`,
    `consume    ${run} consume ${options.topic}${at}`,
    `or         kcat -C -b 127.0.0.1:${options.port} -t ${options.topic} -e`,
    `watch      http://127.0.0.1:${httpPort(options.port)}/groups and /metrics`,
    'stop       Ctrl-C',
  ]
  process.stdout.write(`${box(lines)}\n`)
}

function stopAtSignal(cluster: DevCluster, options: DevOptions): void {
  let stopping = false
  const stop = (): void => {
    if (stopping) process.exit(130)
    stopping = true
    if (options.json !== true) process.stdout.write('\nstopping\n')
    cluster.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`It did not stop cleanly: ${String(error)}\n`)
        process.exit(1)
      },
    )
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}
