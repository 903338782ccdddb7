import { BROKER_KEYS, ErrorCode, layered, TOPIC_KEYS, topicConfigValue } from '@millrace/base'
import type { ConfigKey, ConfigType, Properties } from '@millrace/base'
import { DescribeConfigsApi } from '@millrace/protocol'
import type { DescribeConfigsRequest, DescribeConfigsResponse } from '@millrace/protocol'
import type { Handler, Services } from './services.ts'

type Asked = DescribeConfigsRequest['resources'][number]
type Result = DescribeConfigsResponse['results'][number]
type Entry = Result['configs'][number]
type Synonym = Entry['synonyms'][number]

const TOPIC = 2
const BROKER = 4
const BROKER_LOGGER = 8
const CLIENT_METRICS = 16
const GROUP = 32

/** Where a value comes from, as DescribeConfigs numbers it. */
const Source = { TOPIC: 1, DYNAMIC_BROKER: 2, DYNAMIC_DEFAULT: 3, STATIC: 4, DEFAULT: 5 } as const

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
 * Every known key of a topic or a broker with its value, where the value comes from, and what else could have supplied it. Tools look keys up
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
      case TOPIC:
        return this.describeTopic(asked)
      case BROKER:
        return this.describeBroker(asked)
      case BROKER_LOGGER:
      case CLIENT_METRICS:
      case GROUP:
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
    const overrides = image.configs({ kind: 'topic', name })
    const layers = this.layers(String(this.services.broker.config.nodeId))
    const broker = layered(...layers.map(({ values }) => values))
    const entries = keysOf(asked, TOPIC_KEYS).map((key) => ({
      ...this.entry(key, topicSynonyms(key, overrides, layers)),
      // Synonyms are told as they were set, in the unit of their key; the value is the topic's.
      value: topicConfigValue(key, overrides, broker).value,
    }))
    return result(asked, entries)
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

/** The topic's own value, then what the brokers' keys say in their order, then the default. */
function topicSynonyms(key: ConfigKey, overrides: Properties, layers: readonly Layer[]): readonly Synonym[] {
  const synonyms: Synonym[] = []
  const own = overrides.get(key.name)
  if (own !== undefined) synonyms.push({ name: key.name, value: own, source: Source.TOPIC })
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
