import { BROKER_KEYS, ErrorCode, GROUP_KEYS, layered, TOPIC_KEYS, topicConfigValue } from '@millrace/base'
import type { ConfigKey, ConfigType, Properties } from '@millrace/base'
import { DescribeConfigsApi } from '@millrace/protocol'
import type { DescribeConfigsRequest, DescribeConfigsResponse } from '@millrace/protocol'
import { ResourceType } from './resource-types.ts'
import type { Handler, Services } from './services.ts'

type Asked = DescribeConfigsRequest['resources'][number]
type Result = DescribeConfigsResponse['results'][number]
type Entry = Result['configs'][number]
type Synonym = Entry['synonyms'][number]

/** Where a value comes from, as DescribeConfigs numbers it. */
const Source = { TOPIC: 1, DYNAMIC_BROKER: 2, DYNAMIC_DEFAULT: 3, STATIC: 4, DEFAULT: 5, GROUP: 8 } as const

const TYPES: Readonly<Record<ConfigType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  class: 8,
  password: 9,
}

/**
 * Every known key of a topic, a broker or a group with its value, where the value comes from, and what else could have supplied it. Tools look keys up
 * by name and trust to find them, so keys without effect are listed too. Null keys, and none, mean all. Secrets are never told. What a
 * broker's file says is known to that broker alone, which is why clients ask it themselves.
 */
export function describeConfigsHandler(services: Services): Handler<DescribeConfigsRequest, DescribeConfigsResponse> {
  return {
    api: DescribeConfigsApi,
    serve(exchange, request) {
      const describer = new Describer(services, request)
      // Each resource once: its answer is a thousand times larger than its name.
      const asked = new Map(request.resources.map((one) => [`${one.resourceType}/${one.resourceName}`, one]))
      exchange.respond({ throttleTimeMs: 0, results: Array.from(asked.values(), (one) => describer.describe(one)) })
    },
  }
}

/** A layer of broker settings. */
interface Layer {
  readonly source: number
  readonly values: Properties
}

class Describer {
  private readonly services: Services
  private readonly request: DescribeConfigsRequest

  constructor(services: Services, request: DescribeConfigsRequest) {
    this.services = services
    this.request = request
  }

  describe(asked: Asked): Result {
    switch (asked.resourceType) {
      case ResourceType.TOPIC:
        return this.describeTopic(asked)
      case ResourceType.BROKER:
        return this.describeBroker(asked)
      case ResourceType.GROUP:
        return this.describeGroup(asked)
      case ResourceType.BROKER_LOGGER:
      case ResourceType.CLIENT_METRICS:
        return result(asked, [])
      default:
        return failed(asked, ErrorCode.INVALID_REQUEST, `there is no resource type ${asked.resourceType}`)
    }
  }

  private describeTopic(asked: Asked): Result {
    const { image } = this.services.broker
    const name = asked.resourceName
    if (image.topicByName(name) === null)
      return failed(asked, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `there is no topic ${JSON.stringify(name)}`)
    const own = { source: Source.TOPIC, values: image.configs({ kind: 'topic', name }) }
    const layers = this.layers(String(this.services.broker.config.nodeId))
    return result(asked, this.entries(asked, TOPIC_KEYS, own, layers))
  }

  /** Any group, whether it is there or not: settings may be made before its first member comes. Of brokers only the file counts for groups. */
  private describeGroup(asked: Asked): Result {
    const { image, config } = this.services.broker
    const name = asked.resourceName
    if (name === '') return failed(asked, ErrorCode.INVALID_REQUEST, 'a group has a name')
    const own = { source: Source.GROUP, values: image.configs({ kind: 'group', name }) }
    const file = { source: Source.STATIC, values: config.properties }
    return result(asked, this.entries(asked, GROUP_KEYS, own, [file]))
  }

  /** Keys for which brokers have other keys that stand in for them. */
  private entries(
    asked: Asked,
    keys: ReadonlyMap<string, ConfigKey>,
    own: Layer,
    layers: readonly Layer[],
  ): readonly Entry[] {
    const broker = layered(...layers.map(({ values }) => values))
    return keysOf(asked, keys).map((key) => ({
      ...this.entry(key, ownSynonyms(key, own, layers)),
      // Synonyms are told as they were set, in the unit of their key; the value is the resource's.
      value: topicConfigValue(key, own.values, broker).value,
    }))
  }

  private describeBroker(asked: Asked): Result {
    const { nodeId } = this.services.broker.config
    const name = asked.resourceName
    if (name === '') return this.describeClusterDefault(asked)
    if (name !== String(nodeId))
      return failed(
        asked,
        ErrorCode.INVALID_REQUEST,
        `this is broker ${nodeId}: ask broker ${name.slice(0, 20)} itself`,
      )
    const layers = this.layers(name)
    const known = keysOf(asked, BROKER_KEYS).map((key) =>
      this.entry(key, [...synonymsOf(key.name, layers), ...defaultOf(key)]),
    )
    return result(asked, [...known, ...this.unknownBrokerKeys(asked, layers)])
  }

  /** The cluster-wide defaults are only those that somebody set. */
  private describeClusterDefault(asked: Asked): Result {
    const values = this.services.broker.image.configs({ kind: 'broker', name: '' })
    const layers = [{ source: Source.DYNAMIC_DEFAULT, values }]
    const set = keysOf(asked, BROKER_KEYS).filter(({ name }) => values.has(name))
    const known = set.map((key) => this.entry(key, synonymsOf(key.name, layers)))
    return result(asked, [...known, ...this.unknownBrokerKeys(asked, layers)])
  }

  /** Keys that were set without being known: plugins' and newer versions'. Their values may be secrets. */
  private unknownBrokerKeys(asked: Asked, layers: readonly Layer[]): Entry[] {
    const names = new Set<string>()
    for (const { values } of layers) for (const name of values.keys()) if (!BROKER_KEYS.has(name)) names.add(name)
    return [...names]
      .filter((name) => wants(asked, name))
      .sort()
      .map((name) => this.entry(unknownKey(name), synonymsOf(name, layers)))
  }

  private layers(broker: string): readonly Layer[] {
    const { image, config } = this.services.broker
    return [
      { source: Source.DYNAMIC_BROKER, values: image.configs({ kind: 'broker', name: broker }) },
      { source: Source.DYNAMIC_DEFAULT, values: image.configs({ kind: 'broker', name: '' }) },
      { source: Source.STATIC, values: config.properties },
    ]
  }

  private entry(key: ConfigKey, synonyms: readonly Synonym[]): Entry {
    const isSensitive = key.type === 'password'
    const first = synonyms[0]
    const told = isSensitive ? synonyms.map((synonym) => ({ ...synonym, value: null })) : synonyms
    return {
      name: key.name,
      value: isSensitive ? null : (first?.value ?? key.default),
      readOnly: key.scope === 'broker' && !key.dynamic,
      configSource: first?.source ?? Source.DEFAULT,
      isSensitive,
      synonyms: this.request.includeSynonyms ? told : [],
      configType: TYPES[key.type],
      documentation: this.request.includeDocumentation ? key.documentation : null,
    }
  }
}

/** The resource's own value, then what the brokers' keys say in their order, then the default. */
function ownSynonyms(key: ConfigKey, own: Layer, layers: readonly Layer[]): readonly Synonym[] {
  const synonyms: Synonym[] = [...synonymsOf(key.name, [own])]
  for (const { name } of key.brokerKeys) synonyms.push(...synonymsOf(name, layers))
  return [...synonyms, ...defaultOf(key, key.brokerKeys[0]?.name)]
}

function synonymsOf(name: string, layers: readonly Layer[]): readonly Synonym[] {
  return layers.flatMap(({ source, values }) => {
    const value = values.get(name)
    return value === undefined ? [] : [{ name, value, source }]
  })
}

/** The default as the last synonym; none where there is no default. */
function defaultOf(key: ConfigKey, name = key.name): readonly Synonym[] {
  return key.default === null ? [] : [{ name, value: key.default, source: Source.DEFAULT }]
}

function unknownKey(name: string): ConfigKey {
  return {
    name,
    type: 'password',
    default: null,
    documentation: 'A key that is not known here.',
    scope: 'broker',
    effect: 'none',
    dynamic: true,
    brokerKeys: [],
    problem: () => null,
  }
}

function keysOf(asked: Asked, keys: ReadonlyMap<string, ConfigKey>): readonly ConfigKey[] {
  return [...keys.values()].filter(({ name }) => wants(asked, name))
}

function wants({ configurationKeys }: Asked, name: string): boolean {
  return configurationKeys === null || configurationKeys.length === 0 || configurationKeys.includes(name)
}

function result({ resourceType, resourceName }: Asked, configs: readonly Entry[]): Result {
  return { errorCode: ErrorCode.NONE, errorMessage: null, resourceType, resourceName, configs }
}

function failed({ resourceType, resourceName }: Asked, errorCode: ErrorCode, errorMessage: string): Result {
  return { errorCode, errorMessage, resourceType, resourceName, configs: [] }
}
