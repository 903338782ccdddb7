import { type Logger, MillraceError } from '@millrace/base'
import { lockFolder, productionWorld } from '@millrace/host'
import { type Node, type NodeConfig, readNodeConfig, startNode } from '@millrace/server'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

interface ServerOptions {
  readonly config: string
  readonly override?: readonly string[]
  readonly pretty?: boolean
}

/** Runs one node until a signal stops it. */
export async function server(options: ServerOptions): Promise<void> {
  const { config, withoutEffect } = readConfig(options.config, options.override ?? [])
  const world = productionWorld({ logger: { pretty: options.pretty === true }, node: config.nodeId })
  const log = world.log.child({ node: config.nodeId })
  if (withoutEffect.length > 0) log.warn({ keys: withoutEffect }, 'settings of Kafka that have no effect here')
  const started = performance.now()
  const node = await startNode(world, config, { lock: lockFolder })
  const stopping = stopAtSignal(log, node)
  await node.ready
  if (stopping.begun) return
  log.info(
    {
      ms: Math.round(performance.now() - started),
      listeners: config.listeners.map(({ advertised }) => `${advertised.host}:${advertised.port}`),
    },
    'node ready',
  )
}

/** Throws `MillraceError` CONFIG_INVALID that names every problem with its place. */
function readConfig(
  path: string,
  overrides: readonly string[],
): { config: NodeConfig; withoutEffect: readonly string[] } {
  const text = readFile(path)
  const lines = text.split('\n').length
  const { config, problems, withoutEffect } = readNodeConfig([text, ...overrides].join('\n'), hostname())
  if (config !== null) return { config, withoutEffect }
  const told = problems.map(({ line, message }) =>
    line === 0 ? `${path}: ${message}` : line > lines ? `--override: ${message}` : `${path}:${line}: ${message}`,
  )
  throw new MillraceError('CONFIG_INVALID', told.join('\n'), {
    fix: `Mend ${problems.length === 1 ? 'it' : `these ${problems.length} places`} and start again.`,
  })
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new MillraceError('CONFIG_INVALID', `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
      fix: 'Name a properties file with --config.',
    })
  }
}

/** The first signal stops the node in order, the second one ends the process at once. */
function stopAtSignal(log: Logger, node: Node): { readonly begun: boolean } {
  const stopping = { begun: false }
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping.begun) process.exit(130)
    stopping.begun = true
    log.info({ signal }, 'node stopping')
    node.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ error: String(error) }, 'node did not stop cleanly')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  // Started by another process that holds a channel to this one: its end is this node's signal.
  if (process.connected) process.once('disconnect', () => stop('SIGHUP'))
  return stopping
}
