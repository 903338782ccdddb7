import { MillraceError } from '@millrace/base'
import type { GroupListing } from '@millrace/client'
import { type ClusterOptions, withClient } from '../connect.ts'
import { UsageError } from '../failure.ts'
import { kafkaLines, printJson } from '../output.ts'

const STATES = ['Stable', 'Empty', 'PreparingRebalance', 'CompletingRebalance', 'Assigning', 'Reconciling', 'Dead']
const TYPES = ['Classic', 'Consumer']

interface ListOptions extends ClusterOptions {
  /** True shows the column; a text shows these only. */
  readonly state?: true | string
  readonly type?: true | string
  readonly others?: boolean
}

/** Names alone, or with their types and states; those of programs that are no consumers only when they are asked for. */
export async function listGroups(options: ListOptions): Promise<void> {
  const states = choices('--state', options.state, STATES)
  const types = choices('--type', options.type, TYPES)
  await withClient(options, async ({ admin }) => {
    const groups = (await admin.groups.list()).filter(
      (group) =>
        (options.others === true || isOfConsumers(group)) &&
        (states === null || states.has(group.state)) &&
        (types === null || types.has(shownType(group))),
    )
    if (options.json === true) for (const { groupId, ...group } of groups) printJson({ group: groupId, ...group })
    else if (groups.length === 0) process.stderr.write('There are no such groups.\n')
    else process.stdout.write(`${listing(groups, options).join('\n')}\n`)
  })
}

function listing(groups: readonly GroupListing[], { state, type }: ListOptions): readonly string[] {
  const names = groups.map(({ groupId }) => groupId)
  if (state === undefined && type === undefined) return names
  const columns = [{ title: 'GROUP', width: Math.max(15, ...names.map((name) => name.length)) + 10 }]
  if (type !== undefined) columns.push({ title: 'TYPE', width: 20 })
  if (state !== undefined) columns.push({ title: 'STATE', width: 20 })
  const rows = groups.map((group) => [
    group.groupId,
    ...(type === undefined ? [] : [shownType(group)]),
    ...(state === undefined ? [] : [group.state]),
  ])
  return kafkaLines(columns, rows)
}

function shownType({ type }: GroupListing): string {
  return `${type.slice(0, 1).toUpperCase()}${type.slice(1)}`
}

/** Groups that have nothing but offsets are of no protocol; whoever reads next makes them one of consumers. */
export function isOfConsumers({ protocolType }: { readonly protocolType: string }): boolean {
  return protocolType === 'consumer' || protocolType === ''
}

/** Those of the known names that a list such as `stable,empty` has; null for all. */
function choices(option: string, given: true | string | undefined, known: readonly string[]): Set<string> | null {
  if (given === undefined || given === true) return null
  const names = given.split(',').map((name) => name.trim().toLowerCase())
  const found = names.map((name) => known.find((one) => one.toLowerCase() === name))
  const unknown = names[found.indexOf(undefined)]
  if (unknown !== undefined)
    throw new UsageError(`${option}: "${unknown}" is unknown`, `Choose of: ${known.join(', ')}.`)
  return new Set(found as string[])
}

/** Deletes each of the groups; fails when one could not be deleted, after the others were. */
export async function deleteGroups(names: readonly string[], options: ClusterOptions): Promise<void> {
  const groupIds = [...new Set(names)]
  await withClient(options, async ({ admin }) => {
    const failures = await Promise.all(
      groupIds.map((groupId) =>
        admin.groups.delete(groupId).then(
          () => null,
          (error: Error) => error,
        ),
      ),
    )
    const deleted = groupIds.filter((_, at) => failures[at] === null)
    if (options.json === true)
      for (const [at, group] of groupIds.entries())
        printJson({ group, deleted: failures[at] === null, error: failures[at]?.message ?? null })
    else if (deleted.length > 0)
      process.stdout.write(
        `Deletion of requested consumer groups (${deleted.map((name) => `'${name}'`).join(', ')}) was successful.\n`,
      )
    const failed = failures.filter((failure) => failure !== null)
    const [first] = failed as readonly (Error & { readonly fix?: string | null })[]
    if (failed.length === 1) throw first
    if (first !== undefined)
      throw new MillraceError('REQUEST_REFUSED', failed.map(({ message }) => message).join('\n'), {
        cause: first,
        fix: first.fix ?? 'Look into the logs of the brokers.',
      })
  })
}
