import {
  BROKER_KEYS,
  brokerConfigProblem,
  DROPPED_TOPIC_KEYS,
  ErrorCode,
  GROUP_KEYS,
  groupConfigProblem,
  groupConfigsProblem,
  layered,
  parseList,
  TOPIC_KEYS,
  topicConfigProblem,
  topicConfigsProblem,
  topicConfigValue,
  unreachable,
} from '@millrace/base'
import type { ConfigKey, Properties } from '@millrace/base'
import type { ConfigResource, PartitionImage } from './image.ts'
import type { MachineContext } from './machine.ts'
import { duplicates, Refused, succeeded } from './outcome.ts'
import type { MetadataRecord } from './records.ts'
import type { Answer, Ask, ConfigOperation, ConfigTarget, Decision, Outcome } from './requests.ts'
import { Deciding } from './rules.ts'
import type { ImageState } from './state.ts'
import { configKind, configRecord } from './snapshot.ts'

const MIN_ISR = 'min.insync.replicas'
const UNCLEAN = 'unclean.leader.election.enable'
/** As the record holds it, and Kafka's: a throttle names every replica of a topic that moves. */
const MAX_VALUE_BYTES = 0x7fff
/** Shorter texts fit, whatever they are made of. */
const SHORT_LENGTH = 8192
/** The most that the name of a group can be on the wire of the older versions, and more than anybody needs. */
const MAX_GROUP_ID_LENGTH = 32767
const KEYS = { topic: TOPIC_KEYS, broker: BROKER_KEYS, group: GROUP_KEYS } as const
const CLUSTER_WIDE = { kind: 'broker', name: '' } as const

/** The settings of a topic to be created, refused unless each and all together are right. */
export function topicSettings(
  context: MachineContext,
  configs: readonly { readonly name: string; readonly value: string | null }[],
): Properties {
  const settings = new Map<string, string>()
  for (const { name, value } of configs) {
    if (value === null) throw new Refused(ErrorCode.INVALID_CONFIG, `${name}: a new topic's setting needs a value`)
    if (settings.has(name)) throw new Refused(ErrorCode.INVALID_REQUEST, `${name} is given twice`)
    checkValue(context, { kind: 'topic', name: '' }, name, value)
    settings.set(name, value)
  }
  for (const dropped of DROPPED_TOPIC_KEYS) settings.delete(dropped)
  checkTogether(context, 'topic', settings)
  return settings
}

/** Each resource is changed in full or not at all; what the new settings mean for partitions is part of the same records. */
export function incrementalAlterConfigs(
  context: MachineContext,
  { resources, validateOnly }: Ask<'incrementalAlterConfigs'>,
): Decision<Answer<'incrementalAlterConfigs'>> {
  return alterEach(context, resources, validateOnly, (resource, { operations }) => {
    const next = new Map(context.state.configs(resource))
    for (const operation of operations) operate(context, resource, next, operation)
    return next
  })
}

/** As {@link incrementalAlterConfigs}, with the settings given in the place of those that were. */
export function alterConfigs(
  context: MachineContext,
  { resources, validateOnly }: Ask<'alterConfigs'>,
): Decision<Answer<'alterConfigs'>> {
  return alterEach(context, resources, validateOnly, (resource, { configs }) => {
    const next = new Map<string, string>()
    for (const { name, value } of configs) operate(context, resource, next, { name, operation: 'set', value })
    // A client that replaces everything without knowing of this one does not mean to remove it.
    const kept = context.state.configs(CLUSTER_WIDE).get(MIN_ISR)
    if (isClusterWide(resource) && kept !== undefined && !next.has(MIN_ISR)) next.set(MIN_ISR, kept)
    return next
  })
}

function alterEach<T extends ConfigTarget & (HasOperations | HasConfigs)>(
  context: MachineContext,
  resources: readonly T[],
  validateOnly: boolean,
  nextOf: (resource: ConfigResource, target: T) => Map<string, string>,
): Decision<readonly (Outcome & ConfigTarget)[]> {
  const altered = new Map<string, Altered>()
  const response = resources.map((target) => {
    const { kind, name } = target
    try {
      const resource = resourceOf(context, target)
      const key = `${resource.kind}/${resource.name}`
      if (altered.has(key)) throw new Refused(ErrorCode.INVALID_REQUEST, 'the request names this resource twice')
      checkNamedOnce(target)
      const next = nextOf(resource, target)
      for (const dropped of DROPPED_TOPIC_KEYS) if (resource.kind === 'topic') next.delete(dropped)
      checkTogether(context, resource.kind, next)
      altered.set(key, { resource, next })
      return { ...succeeded, kind, name }
    } catch (error) {
      return { ...Refused.outcome(error), kind, name }
    }
  })
  return { records: validateOnly ? [] : recordsFor(context, altered), response }
}

interface HasOperations {
  readonly operations: readonly { readonly name: string }[]
}
interface HasConfigs {
  readonly configs: readonly { readonly name: string }[]
}

interface Altered {
  readonly resource: ConfigResource
  readonly next: Properties
}

function resourceOf({ state }: MachineContext, { kind: number, name }: ConfigTarget): ConfigResource {
  const kind = configKind(number)
  switch (kind) {
    case 'topic':
      if (state.topicByName(name) !== null) return { kind, name }
      throw new Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic "${name.slice(0, 249)}"`)
    case 'broker':
      return { kind, name: brokerName(state, name) }
    case 'group':
      if (name !== '' && name.length <= MAX_GROUP_ID_LENGTH) return { kind, name }
      throw new Refused(ErrorCode.INVALID_REQUEST, `a group has a name of 1 to ${MAX_GROUP_ID_LENGTH} characters`)
    case null:
      throw new Refused(
        ErrorCode.INVALID_REQUEST,
        `resources of type ${number} have no settings that can be changed here`,
      )
    default:
      return unreachable(kind, 'kind of resource')
  }
}

function brokerName(state: ImageState, name: string): string {
  if (name === '') return name
  if (!/^\d{1,10}$/.test(name))
    throw new Refused(ErrorCode.INVALID_REQUEST, 'a broker is named by its number, or "" for all of them')
  if (state.brokers.has(Number(name))) return String(Number(name))
  throw new Refused(ErrorCode.BROKER_ID_NOT_REGISTERED, `broker ${name} is not registered`)
}

function checkNamedOnce(target: HasOperations | HasConfigs): void {
  const names = ('operations' in target ? target.operations : target.configs).map(({ name }) => name)
  const [twice] = duplicates(names)
  if (twice !== undefined) throw new Refused(ErrorCode.INVALID_REQUEST, `${twice} is given twice`)
}

function operate(
  context: MachineContext,
  resource: ConfigResource,
  settings: Map<string, string>,
  { name, operation, value }: ConfigOperation,
): void {
  // As in Kafka, what no group can have may be taken from it.
  if (resource.kind !== 'group' || operation !== 'delete') checkMayChange(resource, name)
  if (operation === 'delete') {
    if (isClusterWide(resource) && name === MIN_ISR)
      throw new Refused(ErrorCode.INVALID_CONFIG, `${MIN_ISR} of the cluster can be changed, not removed`)
    settings.delete(name)
    return
  }
  if (value === null)
    throw new Refused(ErrorCode.INVALID_REQUEST, `${name}: to ${operation} it takes a value, not null`)
  const next = operation === 'set' ? value : edited(context, resource, settings, { name, operation, value })
  checkValue(context, resource, name, next)
  settings.set(name, next)
}

/** A list with values added (once each) or taken out. */
function edited(
  context: MachineContext,
  resource: ConfigResource,
  settings: Properties,
  { name, operation, value }: ConfigOperation & { readonly value: string },
): string {
  const key = keyOf(resource, name)
  if (key?.type !== 'list')
    throw new Refused(ErrorCode.INVALID_CONFIG, `${name} is no list, so nothing can be added to or taken out of it`)
  const old = parseList(settings.get(name) ?? inherited(context, resource, key))
  const given = parseList(value)
  const next =
    operation === 'append'
      ? [...old, ...given.filter((one) => !old.includes(one))]
      : old.filter((one) => !given.includes(one))
  return next.join(',')
}

function inherited(context: MachineContext, resource: ConfigResource, key: ConfigKey): string {
  const broker = brokerProperties(context)
  if (resource.kind !== 'broker') return topicConfigValue(key, new Map(), broker).value
  return broker.get(key.name) ?? key.default ?? ''
}

function checkMayChange(resource: ConfigResource, name: string): void {
  if (resource.kind === 'topic') {
    if (!TOPIC_KEYS.has(name) && !DROPPED_TOPIC_KEYS.has(name))
      throw new Refused(ErrorCode.INVALID_CONFIG, topicConfigProblem(name, '') ?? name)
    return
  }
  if (resource.kind === 'group') {
    if (!GROUP_KEYS.has(name))
      throw new Refused(ErrorCode.INVALID_CONFIG, groupConfigProblem(name, '', new Map()) ?? name)
    return
  }
  if (name === '' || name.length > 249)
    throw new Refused(ErrorCode.INVALID_REQUEST, 'a setting has a name of at most 249 characters')
  if (BROKER_KEYS.get(name)?.dynamic === false)
    throw new Refused(ErrorCode.INVALID_REQUEST, `${name} is read when a broker starts: change its file and restart it`)
  if (name === MIN_ISR && !isClusterWide(resource))
    throw new Refused(
      ErrorCode.INVALID_CONFIG,
      `${MIN_ISR} is set for the whole cluster or for a topic, not for one broker`,
    )
}

function checkValue(context: MachineContext, resource: ConfigResource, name: string, value: string): void {
  if (value.length > SHORT_LENGTH && bytesOf(value) > MAX_VALUE_BYTES)
    throw new Refused(ErrorCode.INVALID_CONFIG, `${name}: a value has at most ${MAX_VALUE_BYTES} bytes`)
  const problem = valueProblem(context, resource.kind, name, value)
  if (problem !== null) throw new Refused(ErrorCode.INVALID_CONFIG, problem)
}

function valueProblem(
  context: MachineContext,
  kind: ConfigResource['kind'],
  name: string,
  value: string,
): string | null {
  switch (kind) {
    case 'topic':
      return topicConfigProblem(name, value)
    case 'group':
      return groupConfigProblem(name, value, brokerProperties(context))
    case 'broker':
      return brokerConfigProblem(name, value)
    default:
      return unreachable(kind, 'kind of resource')
  }
}

/** What holds for a resource as a whole; a broker's settings do not depend on each other. */
/** In UTF-8. */
function bytesOf(text: string): number {
  let bytes = 0
  for (const character of text) {
    const point = character.codePointAt(0) as number
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4
  }
  return bytes
}

function checkTogether(context: MachineContext, kind: ConfigResource['kind'], settings: Properties): void {
  if (kind === 'broker') return
  const check = kind === 'topic' ? topicConfigsProblem : groupConfigsProblem
  const problem = check(settings, brokerProperties(context))
  if (problem !== null) throw new Refused(ErrorCode.INVALID_CONFIG, problem)
}

function brokerProperties({ state, config }: MachineContext): Properties {
  return layered(state.configs(CLUSTER_WIDE), config.properties)
}

function keyOf(resource: ConfigResource, name: string): ConfigKey | undefined {
  return KEYS[resource.kind].get(name)
}

function isClusterWide(resource: ConfigResource): boolean {
  return resource.kind === 'broker' && resource.name === ''
}

function recordsFor(context: MachineContext, altered: ReadonlyMap<string, Altered>): readonly MetadataRecord[] {
  const records: MetadataRecord[] = []
  const names = new Set<string>()
  for (const { resource, next } of altered.values()) {
    const old = context.state.configs(resource)
    for (const name of old.keys()) if (!next.has(name)) records.push(changed(resource, name, null))
    for (const [name, value] of next) if (old.get(name) !== value) records.push(changed(resource, name, value))
  }
  return [...records, ...consequences(context, altered, names)]

  function changed(resource: ConfigResource, name: string, value: string | null): MetadataRecord {
    if (name === MIN_ISR || name === UNCLEAN)
      names.add(isClusterWide(resource) ? '' : `${resource.kind}/${resource.name}`)
    return configRecord(resource, name, value)
  }
}

/**
 * A lower minimum of in-sync replicas lets the watermark pass what eligible leaders hold, so they lose that standing in the same
 * entry; allowing unclean elections gives leaders to partitions that wait for one.
 */
function consequences(
  context: MachineContext,
  altered: ReadonlyMap<string, Altered>,
  touched: ReadonlySet<string>,
): readonly MetadataRecord[] {
  if (touched.size === 0) return []
  const { state, config } = context
  const deciding = new Deciding(state, config.properties, {
    settings: (kind, name) => altered.get(`${kind}/${name}`)?.next ?? null,
  })
  return deciding.changes(affected(context, touched), () => ({}))
}

function* affected({ state }: MachineContext, touched: ReadonlySet<string>): Iterable<PartitionImage> {
  for (const topic of state.topics.values())
    if (touched.has('') || touched.has(`topic/${topic.name}`))
      for (const partition of topic.partitions) if (partition.leader === -1 || partition.elr.length > 0) yield partition
}
