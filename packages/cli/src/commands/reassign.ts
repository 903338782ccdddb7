import { setTimeout as sleep } from 'node:timers/promises'
import { ErrorCode } from '@millrace/base'
import { type Client, KafkaError, type PartitionMove, type Reassignment } from '@millrace/client'
import { type ClusterOptions, withClient } from '../connect.ts'
import { UsageError } from '../failure.ts'
import { printJson, printTable } from '../output.ts'

interface ReassignOptions extends ClusterOptions {
  readonly partition?: readonly string[]
  readonly brokers?: string
  readonly cancel?: boolean
  readonly wait?: boolean
}

const LOOK_MS = 500

/** Moves a topic's partitions, takes moves back, or lists what is under way, of all topics where none is named. */
export async function reassign(topic: string | undefined, options: ReassignOptions): Promise<void> {
  const { partition: named = [], brokers, cancel = false } = options
  const asked = [named.some((one) => one.includes('=')), brokers !== undefined, cancel].filter(Boolean).length
  if (asked > 1)
    throw new UsageError('Only one of these at a time.', 'Name --partition N=BROKERS, --brokers or --cancel.')
  if (topic === undefined && (asked > 0 || named.length > 0))
    throw new UsageError('Which topic?', 'Name the topic whose partitions are meant.')
  await withClient(options, async (client) => {
    if (topic !== undefined && asked > 0) await move(client, topic, options)
    else printUnderWay(await client.admin.reassignments(topic), options)
  })
}

async function move(client: Client, topic: string, options: ReassignOptions): Promise<void> {
  const moves =
    options.cancel === true ? await cancellations(client, topic, options) : await wanted(client, topic, options)
  await client.admin.reassign(topic, moves)
  if (options.wait === true) await ended(client, topic, moves)
  if (options.json === true) for (const one of moves) printJson({ topic, ...one, arrived: options.wait === true })
  else if (moves.length === 0) process.stderr.write(`No partition of ${topic} is being moved.\n`)
  else
    for (const { partition, replicas } of moves) {
      const to = replicas === null ? 'back' : `to ${replicas.join(', ')}`
      process.stdout.write(`${options.wait === true ? 'Moved' : 'Moving'} ${topic}-${partition} ${to}.\n`)
    }
}

async function cancellations(
  client: Client,
  topic: string,
  options: ReassignOptions,
): Promise<readonly PartitionMove[]> {
  const some =
    options.partition?.map(whole) ?? (await client.admin.reassignments(topic)).map(({ partition }) => partition)
  return some.map((partition) => ({ partition, replicas: null }))
}

async function wanted(client: Client, topic: string, options: ReassignOptions): Promise<readonly PartitionMove[]> {
  const { partition: named = [], brokers } = options
  if (brokers === undefined) return named.map(assignment)
  const only = named.map(whole)
  const ids = list(brokers)
  const { partitions } = await client.admin.describeTopic(topic)
  const under = new Map((await client.admin.reassignments(topic)).map((one) => [one.partition, one]))
  const strange = only.find((one) => partitions[one] === undefined)
  if (strange !== undefined)
    throw new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${topic} partition ${strange}`, 'there is none')
  return partitions
    .filter(({ partition }) => only.length === 0 || only.includes(partition))
    .map(({ partition, replicas }) => {
      const factor = replicas.length - (under.get(partition)?.removing.length ?? 0)
      if (factor > ids.length)
        throw new UsageError(
          `Partition ${partition} has ${factor} replicas, and --brokers names ${ids.length}.`,
          'Name at least as many brokers, or say --partition N=BROKERS to change the number of replicas.',
        )
      return {
        partition,
        replicas: Array.from({ length: factor }, (_, at) => ids[(partition + at) % ids.length] as number),
      }
    })
}

/** `0=4,5,6`. */
function assignment(text: string): PartitionMove {
  const [partition = '', brokers = ''] = text.split('=')
  if (!text.includes('='))
    throw new UsageError(
      `"${text}" names no brokers`,
      'Write the partition, an equals sign and brokers, as in 0=1,2,3.',
    )
  return { partition: whole(partition), replicas: list(brokers) }
}

function list(text: string): readonly number[] {
  const ids = text.split(',').map(whole)
  if (new Set(ids).size !== ids.length) throw new UsageError(`"${text}" names a broker twice`, 'Name each broker once.')
  return ids
}

function whole(text: string): number {
  const trimmed = text.trim()
  if (!/^\d{1,9}$/.test(trimmed))
    throw new UsageError(`"${text}" is not a number`, 'Name partitions and brokers by number.')
  return Number(trimmed)
}

/** Resolves once none of these is under way. */
async function ended(client: Client, topic: string, moves: readonly PartitionMove[]): Promise<void> {
  const mine = new Set(moves.map(({ partition }) => partition))
  while ((await client.admin.reassignments(topic)).some(({ partition }) => mine.has(partition))) await sleep(LOOK_MS)
}

function printUnderWay(under: readonly Reassignment[], options: ReassignOptions): void {
  const only = options.partition?.map(whole)
  const shown = under.filter(({ partition }) => only === undefined || only.includes(partition))
  if (options.json === true) for (const one of shown) printJson(one)
  else if (shown.length === 0) process.stderr.write('No partition is being moved.\n')
  else
    printTable(
      ['TOPIC', 'PARTITION', 'REPLICAS', 'ADDING', 'REMOVING'],
      shown.map(({ topic, partition, replicas, adding, removing }) => [
        topic,
        partition,
        replicas.join(','),
        adding.join(',') || '-',
        removing.join(',') || '-',
      ]),
    )
}
