import {
  isUuid,
  MillraceError,
  randomUuid,
  readSmallFile,
  replaceSmallFile,
  type DirEntry,
  type Disk,
  type IoErrorCode,
  type Uuid,
  type World,
} from '@millrace/base'
import { FOLDER_LOCK } from '@millrace/host'
import { promised } from './promised.ts'
import { parseProperties } from './properties.ts'

/** A folder of `log.dirs` with the identity that its `meta.properties` gives it. */
export interface FormattedDirectory {
  readonly path: string
  /** New with every formatting: a wiped folder is never its former self. */
  readonly directoryId: Uuid
  /** Null until the node has met or formed its cluster. */
  readonly clusterId: Uuid | null
}

/** Locks a folder against other processes, or rejects with a `MillraceError` DIRECTORY_LOCKED. */
export type LockFolder = (path: string) => Promise<unknown>

const META = 'meta.properties'
/** What may be in a folder that was never formatted. */
const NEUTRAL: readonly string[] = ['lost+found', `${META}.tmp`, FOLDER_LOCK]
const FORMAT = 'millrace-1'
/** What the sync of a folder says that this process can have made nothing in. */
const MADE_BY_OTHERS: ReadonlySet<IoErrorCode> = new Set<IoErrorCode>(['EACCES', 'EROFS', 'ENOENT'])

/**
 * Reads the identity of every folder, locks it, and formats the empty ones. Refuses, with the way out, a folder of Apache Kafka's, of another
 * node, of another cluster, or one that holds files of somebody else.
 */
export async function openDirectories(
  world: World,
  paths: readonly string[],
  nodeId: number,
  lock: LockFolder = async () => undefined,
): Promise<readonly FormattedDirectory[]> {
  const found: FormattedDirectory[] = []
  for (const path of paths) found.push(await openDirectory(world, path, { nodeId, lock }))
  const clusters = new Set(found.flatMap(({ clusterId }) => (clusterId === null ? [] : [clusterId])))
  if (clusters.size > 1)
    throw foreign(
      `The folders ${paths.join(', ')} belong to different clusters (${[...clusters].join(', ')}).`,
      'Name only folders of one cluster in log.dirs.',
    )
  const ids = new Set(found.map(({ directoryId }) => directoryId))
  if (ids.size < found.length)
    throw foreign(
      `Two of the folders ${paths.join(', ')} have the same directory.id.`,
      'One is a copy of the other: remove the copy from log.dirs.',
    )
  return found
}

async function openDirectory(
  world: World,
  path: string,
  { nodeId, lock }: { nodeId: number; lock: LockFolder },
): Promise<FormattedDirectory> {
  // Nothing is left behind in a folder that is refused, not even the lock.
  const found = await lookInto(world, path, nodeId)
  await lock(path)
  // Whoever had the lock before may have formatted it meanwhile.
  const formatted = found ?? (await lookInto(world, path, nodeId))
  if (formatted === null) return format(world, path, nodeId)
  // And may have been killed before the name was on disk: a power cut would take the identity under which this process goes on.
  await promised<void>((done) => world.disk.syncDir(path, done))
  return formatted
}

/** What the folder says it is; null when it is empty. */
async function lookInto(world: World, path: string, nodeId: number): Promise<FormattedDirectory | null> {
  const entries = await listMaking(world.disk, path)
  const content = await promised<Uint8Array | null>((done) => readSmallFile(world.disk, `${path}/${META}`, done))
  if (content !== null) return readMeta(path, new TextDecoder().decode(content), nodeId)
  const strangers = entries.filter(({ name }) => !NEUTRAL.includes(name))
  if (strangers.length > 0)
    throw foreign(
      `${path} has no ${META} but is not empty (${strangers[0]?.name}).`,
      'Name an empty folder in log.dirs, or put its meta.properties back if it was lost.',
    )
  return null
}

async function format(world: World, path: string, nodeId: number): Promise<FormattedDirectory> {
  const fresh = { path, directoryId: randomUuid(world.random), clusterId: null }
  // First, so that a folder with its meta.properties is one that stays.
  await syncNames(world.disk, path)
  await writeMeta(world, fresh, nodeId)
  world.log.info({ directory: path, directoryId: fresh.directoryId }, 'folder formatted')
  return fresh
}

function readMeta(path: string, text: string, nodeId: number): FormattedDirectory {
  const values = new Map(parseProperties(text).map(({ key, value }) => [key, value]))
  const directoryId = values.get('directory.id') ?? ''
  const clusterId = values.get('cluster.id') ?? null
  if (!values.has('format'))
    throw foreign(
      `${path} was formatted by Apache Kafka.`,
      'Millrace does not take over the folders of another broker: name an empty folder in log.dirs, and copy the topics over with a client or MirrorMaker.',
    )
  if (values.get('format') !== FORMAT)
    throw foreign(
      `${path} has the format ${values.get('format')}, this version reads ${FORMAT}.`,
      'Start the version that wrote it.',
    )
  if (values.get('node.id') !== String(nodeId))
    throw foreign(
      `${path} belongs to node ${values.get('node.id')}, this is node ${nodeId}.`,
      'Set node.id back, or name another folder in log.dirs.',
    )
  if (!isUuid(directoryId) || (clusterId !== null && !isUuid(clusterId)))
    throw foreign(
      `${path}/${META} is damaged.`,
      'Restore it from a backup; or empty the folder, and the node comes back as a new replica.',
    )
  return { path, directoryId, clusterId }
}

function foreign(message: string, fix: string): MillraceError {
  return new MillraceError('DIRECTORY_FOREIGN', message, { fix })
}

/** Records which cluster a folder belongs to; durable when it resolves. */
export async function writeMeta(world: World, directory: FormattedDirectory, nodeId: number): Promise<void> {
  const lines = [
    '# Written by Millrace. Do not edit.',
    `format=${FORMAT}`,
    'version=1',
    `node.id=${nodeId}`,
    `directory.id=${directory.directoryId}`,
  ]
  if (directory.clusterId !== null) lines.push(`cluster.id=${directory.clusterId}`)
  const content = new TextEncoder().encode(`${lines.join('\n')}\n`)
  await promised(replaceSmallFile(world.disk, directory.path, META, content))
}

/**
 * Makes the names of a folder and of all above it durable: a power cut takes a folder whose name is only in memory, with everything in it
 * that was synced. One that this process may not open, or that nobody can change, was made by somebody else.
 */
async function syncNames(disk: Disk, path: string): Promise<void> {
  const parts = path.split('/')
  while (parts.length > 1) {
    parts.pop()
    const parent = parts.join('/') || '/'
    await promised<void>((done) =>
      disk.syncDir(parent, (error) => done(error !== null && MADE_BY_OTHERS.has(error.code) ? null : error)),
    )
  }
}

/** What a folder holds; it is made when it is not there. */
async function listMaking(disk: Disk, path: string): Promise<readonly DirEntry[]> {
  await promised<void>((done) => disk.mkdir(path, done))
  return promised<readonly DirEntry[]>((done) => disk.list(path, done))
}
