// Plays the cells of the table, each bounded in time and on names of its own.
import type { Feature } from '../features/feature.ts'
import type { Adapter } from './adapter.ts'
import type { ClientSpec, ReadyClient } from './client.ts'
import type { Judge } from './judge.ts'
import { Stage } from './stage.ts'

/** What became of one cell. */
export interface Cell {
  readonly client: string
  readonly feature: string
  readonly outcome: 'ok' | 'FAIL' | 'n/a' | 'not installed'
  /** The difference, or the reason. */
  readonly text: string
  readonly ms: number
}

export interface RunOptions {
  readonly judge: Judge
  readonly bootstrap: string
  readonly features: readonly Feature[]
  /** A client that speaks `group.protocol=consumer`, for groups in which clients that do not are beside others. */
  readonly modern: ReadyClient
  /** Told of every cell as soon as it is known. */
  readonly report: (cell: Cell) => void
}

const CELL_MS = 120_000

/** A client that is ready, or the reason why it is not. */
export interface Installed {
  readonly client: ClientSpec
  readonly ready: ReadyClient | string
}

/** Brings what a client needs. */
export async function install(client: ClientSpec): Promise<Installed> {
  return { client, ready: await client.install().catch(messageOf) }
}

/** All rows of one client, one after the other. */
export async function runClient({ client, ready }: Installed, options: RunOptions): Promise<void> {
  const tell = (feature: Feature, outcome: Cell['outcome'], text = '', ms = 0): void =>
    options.report({ client: client.name, feature: feature.name, outcome, text, ms })
  for (const feature of options.features) {
    const reason = client.lacks[feature.name]
    if (typeof ready === 'string') tell(feature, 'not installed', ready)
    else if (feature.toolsOnly === true && ready.tool === undefined) continue
    else if (reason !== undefined) tell(feature, 'n/a', reason)
    else {
      const began = Date.now()
      const difference = await playCell(client, ready, feature, options)
      tell(feature, difference === null ? 'ok' : 'FAIL', difference ?? '', Date.now() - began)
    }
  }
}

/** A program of its own for each cell, so that no failure reaches the next one; null when all was as expected. */
async function playCell(
  client: ClientSpec,
  ready: ReadyClient,
  feature: Feature,
  { judge, bootstrap, modern }: RunOptions,
): Promise<string | null> {
  const adapter = ready.start(bootstrap)
  const isAlone = feature.mixesProtocols !== true || client.lacks['consumer-protocol'] === undefined
  const companion = isAlone ? adapter : modern.start(bootstrap)
  const name = `${client.name}-${feature.name}-${Date.now().toString(36)}`.replaceAll(/[^\w.-]/g, '-')
  const tool = ready.tool?.(bootstrap) ?? null
  const stage = new Stage({ judge, adapter, modern: companion, habits: client.habits, tool, name })
  try {
    await bounded(feature.run(stage))
    return null
  } catch (error) {
    return messageOf(error)
  } finally {
    await closeQuietly(adapter)
    if (companion !== adapter) await closeQuietly(companion)
    await judge.clean(stage.name, stage.group)
  }
}

async function bounded(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the cell did not end within ${CELL_MS / 1000} s`)), CELL_MS)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
  }
}

async function closeQuietly(adapter: Adapter): Promise<void> {
  await adapter.close().catch(() => {})
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/\s+/g, ' ').slice(0, 600)
}
