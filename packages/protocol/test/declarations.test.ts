// Holds every declaration against Kafka's own schemas, field by field, in the versions declared. The schemas are reference data that lies
// beside the repository, not in it; where they are not at hand, the test says that it was skipped.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LONG_MAX, ZERO_UUID } from '@millrace/base'
import type { FieldMap, Message, Type } from '@millrace/schema'
import { describe, expect, test } from 'vitest'
import { APIS } from '../src/index.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
const folder = join(root, '..', 'shared', 'reference', 'kafka-schemas', 'clients')

interface TheirField {
  readonly name: string
  readonly type: string
  readonly versions: string
  readonly nullableVersions?: string
  readonly taggedVersions?: string
  readonly tag?: number
  readonly default?: string | number | boolean
  readonly ignorable?: boolean
  readonly fields?: readonly TheirField[]
}

interface TheirMessage {
  readonly apiKey: number
  readonly name: string
  readonly validVersions: string
  readonly flexibleVersions: string
  readonly fields: readonly TheirField[]
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly TheirField[] }[]
}

/**
 * Fields that Kafka refuses to drop when an older version is written and Millrace drops: a broker fills them in whatever the version, and
 * they only add to an answer.
 */
const DROPPED_ON_PURPOSE = new Set([
  'ProduceResponse.responses.partitionResponses.currentLeader',
  'ProduceResponse.nodeEndpoints',
  'FetchResponse.responses.partitions.currentLeader',
  'ListOffsetsResponse.topics.partitions.leaderEpoch',
  'DescribeClusterResponse.brokers.isFenced',
  'DescribeQuorumResponse.topics.partitions.currentVoters.replicaDirectoryId',
  'DescribeQuorumResponse.topics.partitions.observers.replicaDirectoryId',
  'DescribeQuorumResponse.nodes',
])

/** What we say about a message, as lines; what Kafka says becomes the same lines. */
type Line = string

function theirs(name: string): TheirMessage {
  const text = readFileSync(join(folder, `${name}.json`), 'utf8')
  return JSON.parse(text.replaceAll(/^\s*\/\/.*$/gm, '')) as TheirMessage
}

function range(text: string): readonly [min: number, max: number] {
  if (text === 'none') return [1, 0]
  const [, min = '', plus, max] = /^(\d+)(\+?)(?:-(\d+))?$/.exec(text) ?? []
  return [Number(min), plus === '+' ? Infinity : Number(max ?? min)]
}

interface Scope {
  readonly message: string
  readonly versions: readonly number[]
  readonly structs: ReadonlyMap<string, readonly TheirField[]>
}

function within(versions: readonly number[], [min, max]: readonly [number, number]): number[] {
  return versions.filter((version) => version >= min && version <= max)
}

function theirLines(fields: readonly TheirField[], scope: Scope, path: string): Line[] {
  return fields.flatMap((field) => {
    const versions = within(scope.versions, range(field.versions))
    if (versions.length === 0) return []
    const name = `${path}.${field.name.charAt(0).toLowerCase()}${field.name.slice(1)}`
    const element = field.type.replace(/^\[\]/, '')
    const inner = field.fields ?? scope.structs.get(element)
    const kind = inner === undefined ? element : 'struct'
    const nullable = field.nullableVersions === undefined ? [] : within(versions, range(field.nullableVersions))
    const line = describeField(name, {
      type: field.type.startsWith('[]') ? `[]${kind}` : kind,
      versions,
      nullable,
      tag:
        field.tag === undefined
          ? null
          : `${field.tag} in ${within(versions, range(field.taggedVersions ?? 'none')).join()}`,
      ...(versions.length < scope.versions.length || field.tag !== undefined
        ? { fallback: theirDefault(field, inner) }
        : {}),
      ...(versions.length < scope.versions.length
        ? { ignorable: field.ignorable === true || DROPPED_ON_PURPOSE.has(name) }
        : {}),
    })
    return inner === undefined ? [line] : [line, ...theirLines(inner, { ...scope, versions }, name)]
  })
}

function theirDefault(field: TheirField, inner: readonly TheirField[] | undefined): unknown {
  if (field.type.startsWith('[]')) return field.default === 'null' ? null : []
  if (inner !== undefined)
    return Object.fromEntries(
      inner.map((one) => [one.name.charAt(0).toLowerCase() + one.name.slice(1), theirDefault(one, one.fields)]),
    )
  // A nullable string without a default is null here, where Kafka's Java takes the empty string.
  if (field.type === 'string')
    return field.default === 'null' || (field.default === undefined && field.nullableVersions !== undefined)
      ? null
      : (field.default ?? '')
  if (field.type === 'uuid') return ZERO_UUID
  if (field.type === 'bool') return String(field.default ?? false) === 'true'
  if (field.type === 'bytes' || field.type === 'records') return null
  return field.default === '9223372036854775807' ? LONG_MAX : Number(field.default ?? 0)
}

interface Described {
  readonly type: string
  readonly versions: readonly number[]
  readonly nullable: readonly number[]
  readonly tag: string | null
  readonly fallback?: unknown
  readonly ignorable?: boolean
}

function describeField(name: string, field: Described): Line {
  return `${name}: ${JSON.stringify(field)}`
}

function ourLines(fields: FieldMap, scope: Scope, path: string): Line[] {
  return Object.entries(fields).flatMap(([key, declared]) => {
    const name = `${path}.${key}`
    const field = declared.kind === 'field' ? declared : null
    const type = field === null ? (declared as Type<unknown>) : field.type
    const versions = field === null ? [...scope.versions] : within(scope.versions, [field.min, field.max])
    const line = describeField(name, {
      type: type.element === null ? type.kind : `[]${type.element.kind}`,
      versions,
      nullable: type.nullableSince === null ? [] : within(versions, [type.nullableSince, Infinity]),
      tag: field === null || field.tag === null ? null : `${field.tag} in ${versions.join()}`,
      ...(field !== null && (versions.length < scope.versions.length || field.tag !== null)
        ? { fallback: field.fallback }
        : {}),
      ...(versions.length < scope.versions.length ? { ignorable: field?.ignorable === true } : {}),
    })
    return type.fields === null ? [line] : [line, ...ourLines(type.fields, { ...scope, versions }, name)]
  })
}

function ours(message: Message<unknown>): { head: unknown; lines: Line[] } {
  const [min, max] = message.versions
  const versions = Array.from({ length: max - min + 1 }, (_, i) => min + i)
  const head = { key: message.key, flexible: message.flexible }
  return {
    head,
    lines: ourLines(message.fields, { message: message.name, versions, structs: new Map() }, message.name),
  }
}

function expected(message: Message<unknown>): { head: unknown; lines: Line[] } {
  const their = theirs(message.name)
  const [min, max] = message.versions
  const versions = Array.from({ length: max - min + 1 }, (_, i) => min + i)
  expect(within(versions, range(their.validVersions))).toEqual(versions)
  const [flexible] = range(their.flexibleVersions)
  const structs = new Map((their.commonStructs ?? []).map((one) => [one.name, one.fields]))
  const head = { key: their.apiKey, flexible: their.flexibleVersions === 'none' ? null : flexible }
  return { head, lines: theirLines(their.fields, { message: message.name, versions, structs }, message.name) }
}

const messages = APIS.flatMap((api) => [api.request, api.response]).map((message) => [message.name, message] as const)

describe.skipIf(!existsSync(folder))(
  "declarations agree with Kafka's schemas (skipped where those are not at hand)",
  () => {
    test.each(messages)('%s', (_name, message) => {
      expect(ours(message)).toEqual(expected(message))
    })

    test('every field that is dropped on purpose exists', () => {
      const names = new Set(
        messages.flatMap(([, message]) => ours(message).lines.map((line) => line.slice(0, line.indexOf(':')))),
      )
      expect([...DROPPED_ON_PURPOSE].filter((name) => !names.has(name))).toEqual([])
    })
  },
)
